"""Named experiments: configuration files that belong to the package and are found by name."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_cli.errors import UsageError
from vae_cli.files import exists
from vae_cli.settings.layers import parse_assignments, read_config

PACKAGE = Path(__file__).parents[1]


def named_configs(package: Path = PACKAGE) -> dict[str, Path]:
    """The files by name; they lie in the package, or beside it in a copy of the repository."""
    folder = package / "configs"
    if not folder.is_dir():
        folder = package.with_name("configs")
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_config(name: str, flag: str = "--config") -> Path:
    """The file of a named experiment, or else the path; `./NAME` is always a path.

    Args:
        name: of the experiment or of the file.
        flag: the option that it was given to, for the error message.

    Raises:
        UsageError: there is neither.
    """
    named = named_configs()
    if name not in named and not exists(name):
        near = difflib.get_close_matches(name, named, 1)
        hint = f"did you mean {near[0]}?" if near else "vae reproduce --list names the experiments"
        label = f"{flag} {name}".lstrip()
        raise UsageError(f"{label}: no such file or named experiment; {hint}")
    return named.get(name, Path(name))


def read_layers(
    file: str | None, assignments: Sequence[str], typed: Mapping[str, Any]
) -> list[tuple[str, Mapping[str, Any]]]:
    """The layers of a command line for `merge`: its file, each `--set`, and its flags.

    Raises:
        UsageError: there is no such file, it cannot be read, or an assignment is malformed.
    """
    named = [] if file is None else [(file, read_config(find_config(file)))]
    return [*named, *parse_assignments(assignments), ("command line", typed)]
