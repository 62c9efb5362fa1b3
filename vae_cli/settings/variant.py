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
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

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


def _initialize(self: Any, **values: Any) -> None:
    for item in fields(self):
        if not item.init:
            continue
        if item.name in values:
            value = values.pop(item.name)
        elif item.default is not MISSING:
            value = item.default
        elif item.default_factory is not MISSING:
            value = item.default_factory()
        else:
            raise TypeError(f"{type(self).__name__} needs {item.name}")
        object.__setattr__(self, item.name, value)
    if values:
        raise TypeError(f"{type(self).__name__} has no {', '.join(values)}")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, item.name) for item in fields(self))


def _equals(self: Any, other: object) -> bool:
    return type(self) is type(other) and _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash((type(self), _values(self)))


def _show(self: Any) -> str:
    values = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in fields(self))
    return f"{type(self).__name__}({values})"


def _refuse(self: Any, name: str, *_value: Any) -> None:
    raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be changed")


_METHODS = {
    "__init__": _initialize,
    "__eq__": _equals,
    "__hash__": _hash,
    "__repr__": _show,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def section(cls: type[_T]) -> type[_T]:
    """Make a frozen dataclass with keywords only, in which an unknown key is an error.

    Its methods are shared. `dataclass` alone would write and compile six for each of forty classes,
    which took a tenth of the time of `vae --help`.
    """
    cls.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    made = dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)
    for name, method in _METHODS.items():
        setattr(made, name, method)
    return made


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def variant(name: str, key: str = "name") -> Callable[[type[_T]], type[_T]]:
    """Make one variant of a section: the one that is chosen by `key = name` in a file."""

    def decorate(cls: type[_T]) -> type[_T]:
        setattr(cls, key, name)  # the field has no default, so this is its value
        return section(cls)

    return decorate
