"""Where settings come from: files, `--set` and flags, laid over each other and validated."""

import dataclasses
import difflib
import functools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_cli.config.schema import Config, entries
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def read(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, not yet validated.

    Raises:
        UsageError: the file is missing, unreadable, larger than 1 MiB, or not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(2**20 + 1)
        if len(content) > 2**20:
            raise UsageError(f"{path} is larger than 1 MiB: not a config file")
        return tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(f"cannot read config {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise UsageError(f"{path} is not TOML: {error or 'nested too deeply'}") from error


def assignment(text: str) -> dict[str, Any]:
    """`section.key=value` as a layer of settings; a value that is not TOML is taken as text.

    Raises:
        UsageError: there is no `=` or no section.
    """
    key, equals, value = text.partition("=")
    part, dot, name = key.strip().partition(".")
    if not (equals and dot and part and name):
        raise UsageError(f"--set {text}: write section.key=value, as in model.latent_dim=10")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return {part: {name: value}}
    if len(parsed) > 1:
        raise UsageError(f"--set {text}: one setting at a time; repeat --set for more")
    return {part: {name: parsed["value"]}}


def resolve(*layers: tuple[str, Mapping[str, Any]]) -> Config:
    """The validated config of several layers, later ones over earlier ones.

    Each layer is `(source, tables)`; the source names it in an error.

    Raises:
        UsageError: an unknown key (names the nearest), a wrong type, or a value out of range.
    """
    merged: dict[str, dict[str, Any]] = {}
    for source, tables in layers:
        if not isinstance(tables, dict):
            raise UsageError(f"{source} is not a table of settings")
        _validate(source, tables)
        for name, table in tables.items():
            merged[name] = merged.get(name, {}) | dict(table)
    return _validate("config", merged)


def on_device(config: Config, device: str) -> Config:
    """The same config with the device that `auto` turned out to be."""
    return _settle(config, device=device)


def at_precision(config: Config, precision: str) -> Config:
    """The same config with the precision that `auto` turned out to be."""
    return _settle(config, precision=precision)


@dataclass(frozen=True)
class Change:
    """A setting that two configs have differently."""

    key: str
    before: Any
    after: Any


def differences(before: Config, after: Config) -> list[Change]:
    """The settings that differ, in the order of the schema."""
    old, new = to_dict(before), to_dict(after)
    pairs = [(e.key, old[e.section][e.name], new[e.section][e.name]) for e in entries()]
    return [Change(key, was, now) for key, was, now in pairs if was != now]


def _settle(config: Config, **values: Any) -> Config:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **values))


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """The tables of a config: numbers, texts and lists only, as TOML and JSON have them."""
    tables: dict[str, dict[str, Any]] = json.loads(json.dumps(dataclasses.asdict(config)))
    return tables


def dumps(config: Config) -> str:
    """The config as TOML, every setting spelled out."""
    import tomli_w

    return tomli_w.dumps(to_dict(config))


def _validate(source: str, tables: Mapping[str, Any]) -> Config:
    from pydantic import ValidationError

    try:  # as JSON, where strict means: a list is a tuple, but "20" is not 20 and true is not 1
        return _validator().validate_json(json.dumps(tables, default=str), strict=True)
    except ValidationError as error:
        raise UsageError(f"{source}: {_explain(error.errors()[0])}") from error


@functools.cache
def _validator() -> "TypeAdapter[Config]":
    from pydantic import TypeAdapter

    return TypeAdapter(Config)


def _explain(error: Any) -> str:
    """One line for one of pydantic's errors: the key, the value, what would be right."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] != "unexpected_keyword_argument":
        problem = (
            error["msg"]
            .replace("Input should be", "must be")
            .replace("Tuple should have", "must be a list with")
        )
        return f"{key} = {json.dumps(error['input'])}: {problem}"
    known = [entry.key for entry in entries()]
    siblings = [other for other in known if other.startswith(f"{error['loc'][0]}.")]
    sections = [part.name for part in dataclasses.fields(Config)]
    among = siblings if len(error["loc"]) > 1 else sections
    near = difflib.get_close_matches(key, among, n=1, cutoff=0.0)[0]
    return f"{key} is not a setting; the nearest is {near}"
