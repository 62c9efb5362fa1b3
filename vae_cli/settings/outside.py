"""Components from outside: a class of another package, or of a file of the user, as a variant.

A section that chooses a component takes three kinds of names: that of a variant of `vae`, that of
an entry point of an installed package, and `module:Class`:

    section       entry points            the class is a module with the contract of
    [model]       vae_cli.networks        LatentModel, or has an `encoder` and a `decoder`
    [objective]   vae_cli.objectives      Objective
    [likelihood]  vae_cli.likelihoods     Likelihood
    [prior]       vae_cli.priors          Prior
    [posterior]   vae_cli.posteriors      settings only

The parameters of its constructor become settings. Some names mean what only the model knows, such
as `latent_dim`: these are given, not set. A class may instead be the settings themselves, declared
with `@variant` as on the pages beside this one; then it checks and builds what it likes.

Code is imported only with consent, which is for a name:

    installed     a package with an entry point was installed by the user, who trusts it, and so was
                  `vae_cli`, whose own modules have such names too
    typed         on this command line, or in the settings that a program passes to `train`
    allowed       `--allow-code`, or `load(..., allow_code=True)`: all names in a run or a file

Without it, the settings of a checkpoint can be read, and what needs no such component can be done.
A class that was once loaded stays known as long as the process, like a module in `sys.modules`.
"""

import functools
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from pathlib import Path
from typing import Any

from vae_cli.errors import OutsideCodeError, mark
from vae_cli.settings.adapters import KINDS
from vae_cli.settings.from_class import make_variant

EVERY_NAME = "*"  # the consent of --allow-code
PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
OURS = "vae_cli."  # begins the names of modules that are imported without being asked
MAIN = "__main__"  # the module of a notebook and of a script, which nobody else can import


_KNOWN: dict[tuple[str, str], type] = {}  # by section and name; of this process, as sys.modules is
_ALLOWED: ContextVar[frozenset[str]] = ContextVar("allowed", default=frozenset())
Known = tuple[tuple[tuple[str, str], type], ...]


def known_variants() -> Known:
    """The variants from outside that this process knows, by section and name."""
    return tuple(_KNOWN.items())


def remember(section_name: str, name: str, variant: type) -> None:
    """Let a section take a variant under a name, in this process."""
    _KNOWN[section_name, name] = variant


def allow(*names: str) -> None:
    """Give consent to import the code of these names, or of `EVERY_NAME`, from now on."""
    _ALLOWED.set(_ALLOWED.get() | set(names))


@contextmanager
def allowing(*names: str) -> Iterator[None]:
    """The same for the body of a `with` statement."""
    token = _ALLOWED.set(_ALLOWED.get() | set(names))
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def is_path(name: object) -> bool:
    """Whether a name is `module:Class`, or that of an object that was given in Python."""
    return isinstance(name, str) and (":" in name or name.startswith("<"))


def names_of(tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The sections of which some settings choose a component, and its names.

    A setting may stand outside of its section, as in `{"objective": "elbo"}`. What is no table of
    settings chooses nothing.
    """
    for part, kind in KINDS.items():
        table = tables.get(part) if isinstance(tables, Mapping) else None
        name = table.get(kind.key) if isinstance(table, Mapping) else table
        if isinstance(name, str):
            yield part, name


def paths_in(tables: Mapping[str, Any]) -> list[str]:
    """The names `module:Class` in some settings, to which who has typed them gives consent."""
    return [name for _, name in names_of(tables) if is_path(name)]


def find_variant(part: str, name: str) -> type | None:
    """The variant of a section with a name from outside; None if there is none.

    Raises:
        OutsideCodeError: its code may not be imported, or cannot be, or is no such component.
    """
    if (part, name) in _KNOWN:
        return _KNOWN[part, name]
    if not is_path(name):
        found = _load_installed(part, name)
    elif can_import(part, name):
        found = _load_path(part, name)
    else:
        raise OutsideCodeError(explain_refusal(part, name))
    if found is not None:
        variant = make_variant(part, name, found)
        variant.__reduce__ = functools.partialmethod(_reduce, part, name)  # type: ignore[assignment]
        remember(part, name, variant)
    return _KNOWN.get((part, name))


def can_import(part: str, name: str) -> bool:
    """Whether the code of a name may be imported: it is known, installed, typed or allowed."""
    if (part, name) in _KNOWN:
        return True
    allowed = _ALLOWED.get()
    is_allowed = name in allowed or EVERY_NAME in allowed or name.startswith(OURS)
    return can_be_imported(name) and (is_allowed or _is_installed(part, name))


def can_be_imported(name: str) -> bool:
    """Whether a name is that of code which another process finds: not of a notebook."""
    return bool(PATH.fullmatch(name)) and not name.startswith(f"{MAIN}:")


def explain_refusal(part: str, name: str) -> str:
    """Why the code of a name is not imported, and what to do."""
    if not is_path(name):
        return f"{part} {name} is of no package that is installed: install the one it is of"
    if not can_be_imported(name):
        return (
            f"{part} {name} was given in Python, and a run keeps no code: give it again, as in "
            f"load(run, {part}=...)"
        )
    return f"{part} {name} is code from outside: {mark('allow_code')} imports it, if you trust it"


def _is_installed(part: str, name: str) -> bool:
    """Whether a path is that of an installed entry point."""
    from importlib.metadata import entry_points  # takes time that vae --help does not have

    return any(point.value == name for point in entry_points(group=KINDS[part].group))


def _load_installed(part: str, name: str) -> Any:
    from importlib.metadata import entry_points

    points = list(entry_points(group=KINDS[part].group, name=name))
    return _import(name, points[0].load) if points else None


def _load_path(part: str, name: str) -> Any:  # noqa: ARG001
    module, _, path = name.partition(":")

    def load() -> Any:
        found: Any = importlib.import_module(module)
        for word in path.split("."):
            found = getattr(found, word)
        return found

    with _current_folder_last():
        return _import(name, load)


def _import(name: str, load: Callable[[], Any]) -> Any:
    """What `load` imports.

    Raises:
        OutsideCodeError: it fails, for whatever reason.
    """
    try:
        return load()
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise OutsideCodeError(f"{name} cannot be imported: {reason}") from error


@contextmanager
def _current_folder_last() -> Iterator[None]:
    """A context in which modules are found in the current folder, after all others."""
    here = str(Path.cwd())
    importlib.invalidate_caches()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.reverse()
        sys.path.remove(here)  # the last one: an earlier one is not ours
        sys.path.reverse()


def _reduce(settings: Any, part: str, name: str) -> tuple[Any, ...]:
    """For another process of the same command, which has the same consent."""
    own = {item.name: getattr(settings, item.name) for item in fields(settings) if item.init}
    return _restore, (part, name, own)


def _restore(part: str, name: str, values: Mapping[str, Any]) -> Any:
    with allowing(name):
        variant = find_variant(part, name)
    assert variant is not None  # the other process had it
    return variant(**values)
