"""Every setting of the schema, as one list for flags, files, error messages and documents."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from annotated_types import Interval

from vae_cli.settings.schema import Config
from vae_cli.settings.setting import Setting


@dataclass(frozen=True)
class Entry:
    """One setting of the schema."""

    section: str
    name: str
    type: Any
    default: Any
    help: str
    flag: str | None
    low: float | None
    high: float | None
    open_below: bool
    format: str
    alias: str
    spellings: Mapping[str, str]
    spell: Callable[[str], int | str] | None
    only: tuple[str, tuple[str, ...]] | None
    metavar: str | None

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


def entries() -> Iterator[Entry]:
    """Every setting, in the order of the schema."""
    for part in fields(Config):
        assert isinstance(part.type, type)
        hints = get_type_hints(part.type, include_extras=True)
        for item in fields(part.type):
            kind, *notes = get_args(hints[item.name])
            setting = next(note for note in notes if isinstance(note, Setting))
            if get_origin(kind) in {Union, UnionType}:  # a number or a word
                notes += [note for one in get_args(kind) for note in get_args(one)]
            interval = next((note for note in notes if isinstance(note, Interval)), Interval())
            yield Entry(
                part.name,
                item.name,
                kind,
                item.default,
                f"{setting.help}: {setting.format}." if setting.format else setting.help,
                setting.flag,
                low=cast("float | None", interval.gt if interval.ge is None else interval.ge),
                high=cast("float | None", interval.le),
                open_below=interval.gt is not None,
                format=setting.format,
                alias=setting.alias,
                spellings=setting.spellings,
                spell=setting.spell,
                only=setting.only,
                metavar=setting.metavar,
            )
