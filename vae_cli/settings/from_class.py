"""A class from outside as a variant of a section: what its settings are.

>>> from vae_cli.model import NegativeELBO
>>> make_variant("objective", "mine", NegativeELBO)(beta=4.0)
NegativeELBO(name='mine', warmup_epochs=0, warmup_cycles=1, beta=4.0, free_bits=0.0, by_level=False)
"""

import copy
import functools
import inspect
import re
from abc import ABC
from collections.abc import Mapping
from dataclasses import field, fields
from types import UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from vae_cli.errors import OutsideCodeError, UsageError, join_or, mark
from vae_cli.settings.adapters import KINDS, WHOLE, Kind
from vae_cli.settings.variant import Setting, section


def make_variant(part: str, name: str, found: Any) -> type:
    """The settings of a component, from its class: the settings themselves, or a module.

    Raises:
        OutsideCodeError: it is neither, or its constructor has parameters that cannot be settings.
    """
    kind = KINDS[part]
    if isinstance(found, type) and issubclass(found, kind.settings):
        if "__dataclass_fields__" not in vars(found):
            raise OutsideCodeError(f"{name} is no variant: put @variant before the class")
        named: type = type(found.__name__, (found,), {"__doc__": found.__doc__, kind.key: name})
        return section(named)
    require_component(part, name, found)
    return _wrap(kind, name, found)


def require_component(part: str, name: str, found: Any, *, is_made: bool = False) -> None:
    """Check that a class is a module of the kind that a section takes.

    Args:
        part: the section.
        name: of the class, for the message.
        found: the class.
        is_made: whether there is a module of it, so that nothing is passed to its constructor.

    Raises:
        OutsideCodeError: it is not.
    """
    from torch import nn

    import vae_cli.model

    kind = KINDS[part]
    own = getattr(vae_cli.model, kind.module) if kind.module else kind.settings
    base = nn.Module if part == "model" else own
    if kind.adapter is None or not (isinstance(found, type) and issubclass(found, base)):
        ours = f"vae_cli.model.{kind.module}" if kind.module else f"{own.__module__}.{own.__name__}"
        wanted = "torch.nn.Module" if part == "model" else ours
        raise OutsideCodeError(f"{name} is no {wanted}, which {mark(f'{part}.{kind.key}')} takes")
    missing = WHOLE - set(inspect.signature(found).parameters)
    if part == "model" and issubclass(found, own) and missing and not is_made:
        raise OutsideCodeError(
            f"{name} is a whole model, so its constructor takes likelihood and prior: "
            f"{' and '.join(sorted(missing))} is missing"
        )


def _wrap(kind: Kind, name: str, part: type) -> type:
    """The settings of a module: those of its kind, and the parameters of its constructor."""
    found = _parameters(part, name)
    asked = frozenset(found) & kind.offered
    own = {key: one for key, one in found.items() if key not in asked}
    taken = {item.name for item in fields(cast("Any", kind.settings))}
    if clash := sorted(taken & set(own)):
        raise OutsideCodeError(f"{name}: its parameter {clash[0]} is a setting of all of its kind")
    helps = _read_helps(part)
    hints = {
        key: _to_hint(one, helps.get(key, f"A parameter of {part.__name__}."), name)
        for key, one in own.items()
    }
    namespace = {
        "__annotations__": hints,
        "__doc__": part.__doc__ or part.__name__,
        "__module__": __name__,
        **{key: one.default for key, one in own.items()},
        **said_of(part),
        **{kind.key: name, "part": part, "own": tuple(own), "asked": asked},
    }
    return section(type(part.__name__, (cast("type", kind.adapter),), namespace))


def said_of(part: type) -> dict[str, Any]:
    """What the class of a module says about itself that settings of its kind say, by name."""
    said = ("takes", "is_for_rows", "has_levels", "min_warmup")
    return {key: getattr(part, key) for key in said if hasattr(part, key)}


def _parameters(part: type, name: str) -> dict[str, inspect.Parameter]:
    from torch import nn

    start: Any = vars(part).get("__init__", part.__init__)  # type: ignore[misc]
    if start is nn.Module.__init__:
        return {}
    found = inspect.signature(part).parameters
    hints = get_type_hints(start, include_extras=True)
    for key, one in found.items():
        if one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY}:
            raise OutsideCodeError(f"{name}: its parameter {key} has no name of its own to be set")
    return {key: one.replace(annotation=hints.get(key, one.empty)) for key, one in found.items()}


def _to_hint(one: inspect.Parameter, text: str, name: str) -> Any:
    """The type of a setting, with its help, from a parameter.

    Raises:
        OutsideCodeError: it has no default, or a type that no file of settings has.
    """
    if one.default is one.empty:
        raise OutsideCodeError(f"{name}: its parameter {one.name} needs a default to be a setting")
    hint = type(one.default) if one.annotation is one.empty else one.annotation
    if not (_is_of_toml(hint) and _is_valid(hint, one.default)):
        raise OutsideCodeError(
            f"{name}: its parameter {one.name} = {one.default!r} is no setting: annotate it as "
            f"{join_or(('int', 'float', 'bool', 'str', 'Literal', 'tuple[int, ...]'))}"
        )
    has_help = any(isinstance(note, Setting) for note in get_args(hint))
    return hint if has_help else Annotated[hint, Setting(text)]


def _is_of_toml(hint: Any) -> bool:
    """Whether a type is that of values which a file of settings has."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _is_of_toml(arguments[0])
    if origin in {tuple, Union, UnionType}:
        return all(_is_of_toml(one) for one in arguments if one is not Ellipsis)
    return origin is Literal or hint in {int, float, bool, str}


def _is_valid(hint: Any, value: Any) -> bool:
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def _read_helps(part: type) -> dict[str, str]:
    """What the docstring of a class says about its parameters, under `Args:`."""
    text = inspect.getdoc(part) or ""
    _, _, rest = text.partition("Args:\n")
    found = re.findall(r"^    (\w+): (.+(?:\n {8,}\S.*)*)", rest, re.MULTILINE)
    helps = {key: " ".join(words.split()) for key, words in found}
    return {key: f"{words[0].upper()}{words[1:]}" for key, words in helps.items()}


class WithoutCode(ABC):
    """Settings of a component whose code is not imported: they are shown, and build nothing."""

    refusal: ClassVar[str]

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise OutsideCodeError(self.refusal)

    check = build = build_codec = build_head = _refuse


def without_code(part: str, table: Mapping[str, Any], refusal: str) -> Any:
    """The settings in a table of a checkpoint that names a component which is not imported.

    Args:
        part: the section.
        table: its settings.
        refusal: why the code is not imported, for who wants to build it.

    Raises:
        UsageError: a name is none of a setting.
    """
    kind = KINDS[part]
    name = table[kind.key]
    own = {key: value for key, value in table.items() if key != kind.key}
    if wrong := [key for key in own if not key.isidentifier() or key.startswith("_")]:
        raise UsageError(f"{part}.{wrong[0]} is not a setting")
    namespace = {
        "__annotations__": dict.fromkeys(own, Any),
        **{
            key: field(default_factory=functools.partial(copy.copy, one))
            for key, one in own.items()
        },
        **{kind.key: name, "refusal": refusal},
    }
    made: Any = type(WithoutCode.__name__, (WithoutCode, kind.settings), namespace)
    return section(made)()
