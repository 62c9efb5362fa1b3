"""`vae config`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vae_cli.cli._options import ResultTerminal, refuse_unused
from vae_cli.files import exists, is_folder
from vae_cli.runs.directory import ROOT, Run
from vae_cli.runs.lookup import find_run
from vae_cli.settings import (
    Config,
    find_config,
    merge,
    named_configs,
    read_config,
    to_dict,
    to_toml,
)

Action = Literal["show", "schema"]


def command(
    *,
    action: Annotated[
        Action,
        typer.Argument(
            metavar="ACTION", help="Use show to print settings, schema for a JSON Schema of them."
        ),
    ] = "show",
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A run, a config file, or a named experiment. [default: the default settings]",
        ),
    ] = None,
    terminal: ResultTerminal,
) -> None:
    """Print all settings of a run or of a config file, checked; or the schema of config files.

    Example: `vae config show NAME > again.toml`, or `vae config schema > vae.schema.json`
    """
    if action == "schema":
        from vae_cli.settings.json_schema import to_json_schema

        refuse_unused(f"NAME {source}", source is not None, "use vae config show")
        refuse_unused("--json", terminal.wants_json, "use vae config show --json")
        terminal.json(to_json_schema())
        return
    settings = read_settings(source)
    if terminal.wants_json:
        terminal.json(to_dict(settings))
    else:
        terminal.lines(to_toml(settings).splitlines())


def read_settings(source: str | None) -> Config:
    """All settings of a run, of a file or of a named experiment, or the default ones.

    A run with exactly this name comes first, then a file, a named experiment, and the beginning of
    the name of a run.

    Raises:
        UsageError: there is no such source, or a setting in it is not allowed.
    """
    if source is None:
        return merge()
    is_run = Run(ROOT / source).exists
    is_file = source in named_configs() or (exists(source) and not is_folder(source))
    if not is_run and (is_file or Path(source).suffix == ".toml"):
        path = find_config(source)
    else:
        path = find_run(source).config_file
    return merge((str(path), read_config(path)))
