"""What is typed after the name of a command, where Typer alone would misunderstand it in silence.

- An option that is not a list may be typed once. Typer takes the last value; but some options are
  lists (`--hidden`, `--dim`, `--class`), so who types `--data a --data b` means both.
- `100,000` and `1e5` are whole numbers, because the messages and the help write them like this.
  `100.000` is refused: Typer takes it for 100.
- `--data=~/photos` is in the home folder: a shell replaces `~` only at the beginning of a word.
- Several words that are together the name of a file lack quotation marks. If the first word is the
  name of a file as well, Typer takes that one.
- A word too many is explained: it may be the name of a run.
- A condition on a column of a table has its name, and values or ranges: `--where age=30..40`.
"""

import dataclasses
import functools
import inspect
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final, get_args

from typer.core import TyperCommand, TyperOption

from vae_cli.data.shard_names import is_shard
from vae_cli.data.table_names import split_names
from vae_cli.errors import UsageError, shorten
from vae_cli.files import exists, expand_home
from vae_cli.runs.directory import ROOT, Run
from vae_cli.settings import Entry, entries, parse_assignment
from vae_cli.settings.adapters import KINDS
from vae_cli.settings.entries import own_entries
from vae_cli.settings.layers import trust_typed
from vae_cli.settings.outside import find_variant, names_of

if TYPE_CHECKING:
    from vae_cli.data.conditions import Wanted, Where

MAX_SPACED = 6  # words of a path with spaces


@final
class Command(TyperCommand):
    """A Typer command that understands what people type."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the command's name, in a context of a class that Typer keeps.

        Raises:
            UsageError: an option that is not a list is given more than once, or there are words
                that the command does not take.
        """
        if ctx.resilient_parsing:  # completion must not fail
            return super().parse_args(ctx, args)
        words = spell_numbers(list(map(expand_homes, args)), self._options_of_numbers())
        ctx.allow_extra_args = True  # so that they are left here, and not refused without advice
        own_epilog = self.epilog
        if not {"-h", "--help"}.isdisjoint(words):
            self.epilog = describe_outside(typed_components(words)) or own_epilog
        try:
            rest = super().parse_args(ctx, list(words))  # prints the help, if that is asked for
        finally:
            self.epilog = own_epilog
        self._refuse_repeats(ctx, words)
        meant = find_spaced_path(words)
        if meant and (rest or not all(map(exists, meant.split(" ")))):
            taken = " ".join(rest) or meant
            raise UsageError(f"{taken}: put a path with spaces in quotation marks: '{meant}'")
        if rest:
            raise UsageError(self._explain_rest(rest))
        return rest

    def _options(self) -> list[TyperOption]:
        return [one for one in self.params if isinstance(one, TyperOption)]

    def _options_of_numbers(self) -> dict[str, Callable[[str], str]]:
        """The options that take one whole number, as they are typed, and how these are spelled."""
        assert self.callback
        hints = {
            name: get_args(parameter.annotation)[:1]
            for name, parameter in inspect.signature(self.callback).parameters.items()
        }
        numbers = {name for name, hint in hints.items() if hint in {(int,), (int | None,)}}
        found = [option for option in self._options() if option.name in numbers]
        special = {f"--{entry.short}": entry.spell for entry in entries() if entry.spell}
        return {
            spelled: functools.partial(spell_number, special=special.get(spelled))
            for option in found
            for spelled in option.opts
        }

    def _refuse_repeats(self, ctx: Any, words: Sequence[str]) -> None:
        options = [one for one in self._options() if not one.multiple]
        try:
            for option in options:
                option.multiple = True  # so that Typer's own parser collects every value
            values, _, _ = self.make_parser(ctx).parse_args(list(words))
        finally:
            for option in options:
                option.multiple = False
        for option in options:
            typed = [_spell(option, value) for value in values.get(option.name, ())]
            if len(typed) > 1:
                raise UsageError(f"{' and '.join(typed)}: give only one of them")

    def _explain_rest(self, rest: Sequence[str]) -> str:
        """What is wrong with words that the command does not take, and what was perhaps meant."""
        taken = " ".join(rest)
        flags = {spelled for option in self._options() for spelled in option.opts}
        if "--run" in flags:
            require_no_run(rest[0])
        if is_shard(rest[0]):
            return explain_shards(taken)
        return f"vae {self.name} does not take {taken}: vae {self.name} --help shows what it takes"


def typed_components(words: Sequence[str]) -> dict[str, str]:
    """The names of components from outside that are typed, by section."""
    options = {f"--{entry.short}": entry.section for entry in entries() if is_choice(entry)}
    found: dict[str, str] = {}
    for before, word in itertools.pairwise([*words, ""]):
        option, equals, value = before.partition("=")
        typed = value if equals else word
        if option in options:
            found[options[option]] = typed
        elif option == "--set" and "=" in typed:
            found |= dict(names_of(parse_assignment(typed)))
    built_in = {entry.section: entry.choices for entry in entries() if is_choice(entry)}
    return {part: name for part, name in found.items() if name not in built_in[part]}


def is_choice(entry: Entry) -> bool:
    """Whether a setting chooses a component that may be from outside."""
    return entry.section in KINDS and entry.name == KINDS[entry.section].key


def describe_outside(names: Mapping[str, str]) -> str:
    """The settings of components from outside, for the end of the help.

    Raises:
        OutsideCodeError: one cannot be imported, or is no such component.
    """
    trust_typed([], {part: {KINDS[part].key: name} for part, name in names.items()})
    lines = []
    for part, name in names.items():
        if variant := find_variant(part, name):
            lines.append(f"{part} {name}: {(variant.__doc__ or '').strip().partition(chr(10))[0]}")
            shown = {item.name for item in dataclasses.fields(KINDS[part].settings)}
            own = [entry for entry in own_entries(part, variant) if entry.name not in shown]
            lines += map(describe_entry, own)
    return "\n\n".join(lines)


def describe_entry(entry: Entry) -> str:
    """A setting without an option of its own, in a line of the help."""
    about = "; ".join(filter(None, [entry.range, f"default: {entry.default}"]))
    return f"`--set {entry.key}=X` {entry.help} [{about}]"


def explain_shards(taken: str) -> str:
    """What to do about the shards that a shell has made of a pattern."""
    return f"{shorten(taken)}: put a pattern in quotation marks, as in 'photos-*.tar'"


def require_no_run(word: Path | str) -> None:
    """Check that a word that should have been something else is not the name of a run.

    Raises:
        UsageError: it is.
    """
    if any(Run(place / word).exists for place in (ROOT, Path())):
        raise UsageError(f"{word}: did you mean --run {word}?")


def expand_homes(word: str) -> str:
    """A word with the home folder in place of `~/`, also after the `=` of an option."""
    option, equals, value = word.partition("=")
    if equals and option.startswith("--"):
        return f"{option}={expand_home(value)}"
    return expand_home(word)


def spell_numbers(words: Sequence[str], options: Mapping[str, Callable[[str], str]]) -> list[str]:
    """The words, where the numbers of some options are spelled as Typer reads them."""
    spelled = []
    for before, word in itertools.pairwise(["", *words]):
        option, equals, value = word.partition("=")
        if before in options:
            spelled.append(options[before](word))
        elif equals and option in options:
            spelled.append(f"{option}={options[option](value)}")
        else:
            spelled.append(word)
    return spelled


def spell_number(text: str, special: Callable[[str], int | str] | None = None) -> str:
    """`100,000`, `100_000` or `1e5` as `100000`; everything else as it is.

    Args:
        text: as it is typed.
        special: spells other forms of a setting's value.

    Raises:
        UsageError: it is `100.000`, which is a hundred thousand to some and a hundred to others.
    """
    text = str(special(text)) if special else text
    if re.fullmatch(r"\d{1,3}(\.\d{3})+", text, re.ASCII):  # which Typer would take as 1
        whole = text.replace(".", "")
        raise UsageError(f"{text}: a whole number has no point: {whole} or {int(whole):,}")
    if re.fullmatch(r"\d{1,3}([,_]\d{3})+", text, re.ASCII):
        return re.sub("[,_]", "", text)
    if power := re.fullmatch(r"(\d{1,3})[eE]\+?(\d{1,2})", text, re.ASCII):
        return power[1] + "0" * int(power[2])
    return text


def parse_where(words: Sequence[str], columns: Sequence[str]) -> "Where":
    """The conditions of `--where`: `sex=F`, `age=30..40`, `age=..18,65..`, `cut="a, b",c`.

    Args:
        words: one condition each.
        columns: names that there are; a name may have a `=`.

    Raises:
        UsageError: a word is no condition, or two of them are about one column.
    """
    where: dict[str, Wanted | list[Wanted]] = {}
    for word in words:
        known = [name for name in columns if word.startswith(f"{name}=")]
        name = max(known, key=len, default=word.partition("=")[0])
        typed = word[len(name) + 1 :]
        if not typed:
            raise UsageError(f"--where {word}: write COLUMN=VALUE, as in sex=F or age=30..40")
        if name in where:
            raise UsageError(f"--where {word}: give all values of {name} at once, as in {name}=A,B")
        is_quoted = '"' in typed  # 10..20 may be the name of a category
        where[name] = [one if is_quoted else _parse_range(one) for one in split_names(typed)]
    return where


def _parse_range(text: str) -> "Wanted":
    """`30..40` as both ends of a range, of which one may be open; another text as it is."""
    low, dots, high = text.partition("..")
    return (low or None, high or None) if dots else text


def find_spaced_path(words: Sequence[str]) -> str | None:
    """The path that several words are together, if there is one; they came without quotes."""
    for start in range(len(words)):
        for count in range(2, MAX_SPACED + 1):  # a shell may have made thousands of words of a *
            path = " ".join(words[start : start + count])
            if start + count <= len(words) and exists(path):
                return path
    return None


def _spell(option: TyperOption, value: object) -> str:
    """An option as it is typed, under its longest name."""
    if not option.is_flag:
        return f"{max(option.opts, key=len)} {value}"
    return max(option.opts if value else option.secondary_opts, key=len)
