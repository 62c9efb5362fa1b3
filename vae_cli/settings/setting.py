"""How a setting is declared: what a user reads about it, and the sections that hold settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass(frozen=True)
class Setting:
    """What a user reads about a setting.

    Attributes:
        help: one line.
        flag: the option that sets it; a setting without one is reached with `--set`.
        format: how a text must be written, if not every text is allowed.
        alias: a shorter name that many people type; it is accepted in every place.
        spellings: other spellings of an allowed value.
        spell: makes a value of another form in which people type it; others stay as they are.
        metavar: what stands for the value in `--help`, if it is the name of something.
        only: another setting, and the values of it with which this one has an effect.
    """

    help: str
    flag: str | None = None
    format: str = ""
    alias: str = ""
    spellings: Mapping[str, str] = field(default_factory=dict)
    spell: Callable[[str], int | str] | None = None
    metavar: str | None = None
    only: tuple[str, tuple[str, ...]] | None = None


@dataclass_transform(kw_only_default=True, frozen_default=True)
def section(cls: type[_T]) -> type[_T]:
    """Make a frozen dataclass in which an unknown key is an error."""
    cls.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return dataclass(frozen=True, kw_only=True)(cls)
