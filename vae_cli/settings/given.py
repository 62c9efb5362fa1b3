"""Components that a program passes in Python: classes, and modules that were made already."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from vae_cli.errors import OutsideCodeError
from vae_cli.settings.adapters import KINDS, Kind
from vae_cli.settings.from_class import make_variant, require_component, said_of
from vae_cli.settings.outside import remember
from vae_cli.settings.variant import section

if TYPE_CHECKING:
    from torch import nn


def name_class(found: type) -> str:
    """The name under which a class can be imported, if it can: `module:Class`."""
    return f"{found.__module__}:{found.__qualname__}"


def give(part: str, given: Any, called: str = "") -> dict[str, Any]:
    """Let this process know a component that a program passes: its class, or a module.

    A module whose constructor's parameters are its attributes, as `self.beta = beta`, can be made
    again from them, and they are its settings. Any other is known under a name that no file
    imports, so that it must be given again by who loads the run.

    Args:
        part: the section.
        given: the class or the module.
        called: its name, if that is not the name of its class.

    Returns:
        The table of its section.

    Raises:
        OutsideCodeError: it is no such component.
    """
    kind = KINDS[part]
    if isinstance(given, type):
        remember(part, name_class(given), make_variant(part, name_class(given), given))
        return {kind.key: name_class(given)}
    name, require = name_class(type(given)), type(given)
    require_component(part, name, require, is_made=True)
    try:
        variant = make_variant(part, name, require)
        own = _read_settings(variant, given)
    except (OutsideCodeError, AttributeError, ValueError):
        name = f"<{called or name.replace(':', '.')}>"
        remember(part, name, _variant_of(kind, name, given))
        return {kind.key: name}
    remember(part, name, variant)
    return {kind.key: name, **own}


def _read_settings(variant: Any, given: "nn.Module") -> dict[str, Any]:
    """The settings of a module: its attributes with the names of the constructor's parameters.

    Raises:
        AttributeError: it keeps one of them in no attribute of this name.
        ValueError: it keeps something else there.
    """
    from pydantic import TypeAdapter

    hints = get_type_hints(variant, include_extras=True)
    return {
        name: TypeAdapter(hints[name]).validate_python(getattr(given, name), strict=True)
        for name in variant.own
    }


def _variant_of(kind: Kind, name: str, given: "nn.Module") -> type:
    """Settings without any value, which copy a module that was given."""
    namespace = {
        "__doc__": type(given).__doc__,
        **said_of(type(given)),
        **{kind.key: name, "instance": given, "part": type(given)},
    }
    return section(type(type(given).__name__, (cast("type", kind.adapter),), namespace))


def with_instance(settings: Any, given: "nn.Module") -> Any:
    """The same settings, which copy a module in place of making a new one."""
    variant = type(settings)
    made: Any = type(variant.__name__, (variant,), {"instance": given})
    own = {item.name: getattr(settings, item.name) for item in fields(settings) if item.init}
    return section(made)(**own)
