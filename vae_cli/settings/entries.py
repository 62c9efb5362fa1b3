"""Every setting of the schema, as one list for flags, files, error messages and documents.

A section has one class, or one for each variant of its component. Settings are found by the words
that people type: `latent-dim`, `latent_dim` or `model.latent_dim`.
"""

import difflib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from annotated_types import Interval

from vae_cli.errors import UsageError, join_or, mark
from vae_cli.settings.outside import Known, known_variants
from vae_cli.settings.schema import Config
from vae_cli.settings.variant import Setting

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class Section:
    """A table of a config file.

    Attributes:
        name: of the table.
        variants: its classes; several if it chooses a component.
        default: the one that is used if nothing is chosen.
        key: the setting that chooses; empty if there is only one class.
    """

    name: str
    variants: tuple[type, ...]
    default: type
    key: str

    @property
    def names(self) -> tuple[str, ...]:
        """The values of the setting that chooses, in the order of the variants."""
        return tuple(getattr(one, self.key) for one in self.variants) if self.key else ()

    def find(self, name: str) -> type:
        """The variant with a name."""
        return self.variants[self.names.index(name)]


def sections() -> tuple[Section, ...]:
    """All sections, in the order of the schema; with the variants from outside that are known."""
    return _sections(known_variants())


@functools.cache
def _sections(outside: Known) -> tuple[Section, ...]:
    more = {
        part.name: tuple(variant for (name, _), variant in outside if name == part.name)
        for part in fields(Config)
    }
    return tuple(_to_section(part, more[part.name]) for part in fields(Config))


def _to_section(part: Field[Any], outside: tuple[type, ...]) -> Section:
    variants = (*(get_args(part.type) or (cast("type", part.type),)), *outside)
    default = cast("type", part.default_factory)
    chosen_by = [item.name for item in fields(default) if not item.init]
    return Section(part.name, variants, default, chosen_by[0] if chosen_by else "")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One setting of the schema.

    Attributes:
        section: the name of its table.
        name: in the table.
        type: without annotations.
        hint: the type with its annotations, which validate a value.
        default: the value if nothing is set.
        help: one line or two; it says with which variants the setting has an effect.
        short: its short name, such as `learning-rate`; empty if it has none.
        low: the smallest number that is allowed, if there is one.
        high: the largest.
        open_below: whether `low` itself is not allowed.
        format: how a text must be written, if not every text is allowed.
        alias: a shorter name that is accepted as well.
        spellings: other spellings of values.
        spell: makes a value of another form in which people type it.
        metavar: what stands for the value in `--help`.
        variants: the names of the variants that have it; empty if all have it.
    """

    section: str
    name: str
    type: Any
    hint: Any
    default: Any
    help: str
    short: str
    low: float | None
    high: float | None
    open_below: bool
    format: str
    alias: str
    spellings: Mapping[str, str]
    spell: Callable[[str], int | str] | None
    metavar: str | None
    variants: tuple[str, ...]

    @functools.cached_property
    def validator(self) -> "TypeAdapter[Any]":
        """Validates a value."""
        from pydantic import TypeAdapter

        return TypeAdapter(self.hint)

    @property
    def key(self) -> str:
        """The name in a file and for `--set`: `section.name`."""
        return f"{self.section}.{self.name}"

    @property
    def range(self) -> str:
        """The allowed values, for a person."""
        if self.format:
            return self.format
        if self.type is bool:
            return "true, false"
        ranges = [", ".join(self.choices)] if self.choices else []
        if self.low is not None:
            ranges.append(f"{self.low:,} {'<' if self.open_below else '≤'} x ≤ {self.high:,}")
        return ", or ".join(ranges)

    @property
    def choices(self) -> list[str]:
        """The words that are allowed, if there are any: all values, or instead of a number."""
        kinds = (self.type, *get_args(self.type))
        words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
        return [word for word in words if isinstance(word, str)]


def entries() -> tuple[Entry, ...]:
    """Every setting, in the order of the schema; one of several variants is there once."""
    return _entries(known_variants())


@functools.cache
def _entries(outside: Known) -> tuple[Entry, ...]:
    return tuple(entry for part in _sections(outside) for entry in _entries_of(part))


@functools.cache
def own_entries(section: str, variant: type) -> tuple[Entry, ...]:
    """The settings of one variant alone, without the one that chooses it.

    One from outside may have a setting with the name of another's, and another type.
    """
    part = next(one for one in sections() if one.name == section)
    found = _entries_of(Section(section, (variant,), variant, part.key))
    return tuple(entry for entry in found if entry.name != part.key)


def _entries_of(part: Section) -> Iterator[Entry]:
    owners: dict[str, list[type]] = {}
    for variant in part.variants:
        for item in fields(variant):
            owners.setdefault(item.name, []).append(variant)
    first = [part.key] if part.key else []
    for name in dict.fromkeys([*first, *owners]):
        yield _to_entry(part, name, owners[name])


def _to_entry(part: Section, name: str, owners: Sequence[type]) -> Entry:
    """The entry of a setting, from the variants that have it."""
    hint = get_type_hints(owners[0], include_extras=True)[name]
    kind, *notes = get_args(hint)
    setting = next(note for note in notes if isinstance(note, Setting))
    default = getattr(owners[0], name, None)
    if name == part.key:
        kind = hint = Literal[part.names]
        default = getattr(part.default, name)
    if get_origin(kind) in {Union, UnionType}:  # a number or a word
        notes += [note for one in get_args(kind) for note in get_args(one)]
    interval = next((note for note in notes if isinstance(note, Interval)), Interval())
    is_shared = len(owners) == len(part.variants)
    return Entry(
        section=part.name,
        name=name,
        type=kind,
        hint=hint,
        default=default,
        help=_describe(part, name, () if is_shared else owners),
        short=setting.short,
        low=cast("float | None", interval.gt if interval.ge is None else interval.ge),
        high=cast("float | None", interval.le),
        open_below=interval.gt is not None,
        format=setting.format,
        alias=setting.alias,
        spellings=setting.spellings,
        spell=setting.spell,
        metavar=setting.metavar,
        variants=() if is_shared else _names(part, owners),
    )


def _setting(owner: type, name: str) -> Setting:
    notes = get_args(get_type_hints(owner, include_extras=True)[name])
    return next(note for note in notes if isinstance(note, Setting))


def _describe(part: Section, name: str, owners: Sequence[type]) -> str:
    """The help of a setting, with the variants that have it, if not all do."""
    if not owners:
        setting = _setting(part.default, name)
        return f"{setting.help}: {setting.format}." if setting.format else setting.help
    helps: dict[str, list[type]] = {}
    for owner in owners:
        helps.setdefault(_setting(owner, name).help, []).append(owner)
    texts = {text: join_or(_names(part, some)) for text, some in helps.items()}
    if len(texts) == 1:
        ((text, names),) = texts.items()
        return f"{text} For {names}."
    return " ".join(f"For {names}: {text[0].lower()}{text[1:]}" for text, names in texts.items())


def _names(part: Section, owners: Sequence[type]) -> tuple[str, ...]:
    """The names of variants, without one that only chooses another."""
    return tuple(getattr(one, part.key) for one in owners if not hasattr(one, "choose"))


def keep_fields(part: Section, variant: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a variant has; others are left out if they have their default.

    Args:
        part: the section.
        variant: one of its classes.
        given: values by name.

    Raises:
        UsageError: one that the variant does not have has another value.
    """
    own = {item.name for item in fields(variant) if item.init}
    for entry in entries():
        if entry.section != part.name or entry.name in own | {part.key}:
            continue
        if given.get(entry.name, entry.default) != entry.default:
            raise UsageError(explain_no_effect(part, variant, entry))
    return {name: value for name, value in given.items() if name in own}


def explain_no_effect(part: Section, variant: type, entry: Entry) -> str:
    """Why a setting cannot be used with a variant."""
    return (
        f"{mark(entry.key)} is for {mark(f'{part.name}.{part.key}')} "
        f"{join_or(entry.variants)}, not {getattr(variant, part.key)}: leave it out"
    )


def short_name(entry: Entry) -> str:
    """The shortest word for a setting: its short name, or its key if it has none."""
    return entry.short or entry.key


def find_setting(word: str, source: str) -> Entry:
    """The setting that a word names: by its key, its short name, its alias, or its name alone.

    Args:
        word: upper and lower case are the same, and so are `-` and `_`.
        source: where it was typed, for the error message.

    Raises:
        UsageError: no setting has this name, and then the message names the nearest; or several do.
    """
    wanted, known = _spell(word.strip()), list(entries())
    for names in (_exact_names, _bare_names):
        found = [entry for entry in known if wanted in names(entry)]
        if len(found) == 1:
            return found[0]
        if found:
            keys = " or ".join(entry.key for entry in found)
            raise UsageError(f"{source}: which setting is {word}: {keys}?")
    words = {_spell(name): name for entry in known for name in (short_name(entry), entry.key)}
    near = difflib.get_close_matches(wanted, words, n=1, cutoff=0.0)[0]
    raise UsageError(f"{source}: {word} is not a setting; the nearest is {words[near]}")


def _exact_names(entry: Entry) -> set[str]:
    return {_spell(entry.key), _spell(short_name(entry)), _spell(f"{entry.section}.{entry.alias}")}


def _bare_names(entry: Entry) -> set[str]:
    return {_spell(entry.name), _spell(entry.alias)} - {""}


def _spell(word: str) -> str:
    return word.casefold().replace("-", "_")
