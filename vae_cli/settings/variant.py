"""How settings are declared: a class for each section of a config file, a field for each setting.

A section that chooses a component, such as `[prior]`, has one class for each *variant*: its fields
are the settings that have an effect with it, and its methods check and build the component. What
all variants of a kind share is declared once, in their abstract base:

    >>> from abc import ABC, abstractmethod
    >>> from dataclasses import field
    >>> from typing import Annotated, final
    >>> from annotated_types import Interval
    >>> @section
    ... class Shape(ABC):
    ...     name: Annotated[str, Setting("What is drawn.")] = field(init=False)
    ...     @abstractmethod
    ...     def build(self) -> str: ...
    >>> @final
    ... @variant("circle")
    ... class Circle(Shape):
    ...     radius: Annotated[float, Interval(gt=0, le=9), Setting("Half of its width.")] = 1.0
    ...     def build(self) -> str:
    ...         return f"a circle of {2 * self.radius}"
    >>> Circle(radius=2.0).name, Circle(radius=2.0).build()
    ('circle', 'a circle of 4.0')

The union of the variants is the one list of them; everything else is found by walking it: flags,
`--set`, error messages, the JSON Schema and the table in docs/settings.md. `build` and what it
imports run only when something is built, so that `vae --help` needs neither torch nor pydantic.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass(frozen=True)
class Setting:
    """What a user reads about a setting.

    Attributes:
        help: one line.
        short: a short name that no other setting has, such as `learning-rate`; the command line
            makes an option of it. A setting without one has its key alone.
        format: how a text must be written, if not every text is allowed.
        alias: a shorter name that many people type; it is accepted in every place.
        spellings: other spellings of an allowed value.
        spell: makes a value of another form in which people type it; others stay as they are.
        metavar: what stands for the value in `--help`, if it is the name of something.
    """

    help: str
    short: str = ""
    format: str = ""
    alias: str = ""
    spellings: Mapping[str, str] = field(default_factory=dict)
    spell: Callable[[str], int | str] | None = None
    metavar: str | None = None


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def section(cls: type[_T]) -> type[_T]:
    """Make a frozen dataclass in which an unknown key is an error."""
    cls.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return dataclass(frozen=True, kw_only=True)(cls)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def variant(name: str, key: str = "name") -> Callable[[type[_T]], type[_T]]:
    """Make one variant of a section: the one that is chosen by `key = name` in a file."""

    def decorate(cls: type[_T]) -> type[_T]:
        setattr(cls, key, name)  # the field has no default, so this is its value
        return section(cls)

    return decorate
