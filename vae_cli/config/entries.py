"""Every setting of the schema, as one list for flags, files, error messages and documents."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast, get_args, get_type_hints

from annotated_types import Interval

from vae_cli.config.schema import Config
from vae_cli.config.setting import Setting


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
        if self.low is not None:
            return f"{self.low:,} {'<' if self.open_below else '≤'} x ≤ {self.high:,}"
        return ", ".join(str(choice) for choice in get_args(self.type) if isinstance(choice, str))


def entries() -> Iterator[Entry]:
    """Every setting, in the order of the schema."""
    for part in fields(Config):
        assert isinstance(part.type, type)
        hints = get_type_hints(part.type, include_extras=True)
        for item in fields(part.type):
            kind, *notes = get_args(hints[item.name])
            setting = next(note for note in notes if isinstance(note, Setting))
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
