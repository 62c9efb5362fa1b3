"""Settings from files, `--set` and flags: they are merged in this order and validated."""

import dataclasses
import difflib
import functools
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_cli.errors import UsageError, is_utf8
from vae_cli.files import read_file
from vae_cli.settings.entries import entries
from vae_cli.settings.messages import shorten, show_value, simplify
from vae_cli.settings.published import TABLE, split_published
from vae_cli.settings.schema import Config
from vae_cli.settings.words import find_setting

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_BYTES = 2**20  # of a config file
LINE_BREAKS = "\n\r"


def read_config(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML file, without validating them.

    Raises:
        UsageError: the file is missing, unreadable, larger than 1 MiB, not a file, or not TOML.
    """
    try:
        return tomllib.loads(read_file(path, MAX_BYTES).decode())
    except OSError as error:
        raise UsageError(f"cannot read config {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise UsageError(f"{path} is not TOML: {error or 'nested too deeply'}") from error


def parse_assignment(text: str) -> dict[str, Any]:
    """Parse `section.key=value` or `key=value`; a value that is not TOML is taken as text.

    Raises:
        UsageError: there is no `=` or no key.
    """
    key, equals, value = text.partition("=")
    part, dot, name = key.strip().partition(".")
    if not (equals and part) or bool(dot) != bool(name):
        raise UsageError(f"--set {text}: write KEY=VALUE, as in beta=4 or model.latent_dim=10")
    parsed = parse_value(value)
    return {part: {name: parsed} if name else parsed}


def parse_value(text: str) -> Any:
    """A value of TOML, or the text itself if it is none."""
    values = parse_values(text)
    return values[0] if values is not None and len(values) == 1 else text


def parse_values(text: str) -> list[Any] | None:
    """Values of TOML between commas; None if a text is something else.

    A text with a line break or with the beginning of a comment is no value, although it would be a
    part of a TOML file: a whole line of that file could be in it.
    """
    try:
        parsed = tomllib.loads(f"values = [[{text}], 0]")["values"]  # a comment would hide the end
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    is_whole = len(parsed) == 2 and not set(text.strip()) & set(LINE_BREAKS)  # noqa: PLR2004
    values: list[Any] | None = parsed[0] if is_whole else None
    return values


def parse_assignments(texts: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """A layer for `merge` for each text `section.key=value`.

    Raises:
        UsageError: a text is malformed, or two of them set the same key.
    """
    layers: dict[str, tuple[str, dict[str, Any]]] = {}
    for text in texts:
        source = f"--set {text}"
        tables = _with_own_names(source, parse_assignment(text))
        key = ".".join(f"{part}.{name}" for part, table in tables.items() for name in table)
        if key in layers:
            raise UsageError(f"{layers[key][0]} and {source}: give only one of them")
        layers[key] = source, tables
    return list(layers.values())


def merge(*layers: tuple[str, Mapping[str, Any]]) -> Config:
    """Merge several layers of settings and validate them; later layers override earlier ones.

    Each layer is `(source, tables)`; errors name the source. A setting may stand outside of its
    section under its short name, as in `{"epochs": 5}`. The table `[published]` of a named
    experiment is checked and left out, because it is no setting.

    Raises:
        UsageError: an unknown key (the message names the nearest), a wrong type, or a value out of
            range.
    """
    merged: dict[str, dict[str, Any]] = {}
    for source, tables in layers:
        if not isinstance(tables, dict):
            raise UsageError(f"{source} is not a table of settings")
        own = _with_own_names(source, split_published(source, tables)[0])
        _validate(source, own)
        for name, table in own.items():
            merged[name] = merged.get(name, {}) | dict(table)
    return _validate("config", merged)


@dataclass(frozen=True)
class Change:
    """A setting that differs between two configs."""

    key: str
    before: Any
    after: Any


def differences(before: Config, after: Config) -> list[Change]:
    """The settings that differ between two configs, in the order of the schema."""
    old, new = to_dict(before), to_dict(after)
    pairs = [(e.key, old[e.section][e.name], new[e.section][e.name]) for e in entries()]
    return [Change(key, was, now) for key, was, now in pairs if was != now]


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """The tables of a config, with only the types that TOML and JSON have."""
    tables: dict[str, dict[str, Any]] = json.loads(json.dumps(dataclasses.asdict(config)))
    return tables


def to_toml(config: Config) -> str:
    """The config as TOML, with every setting."""
    import tomli_w

    return tomli_w.dumps(to_dict(config))


def _with_own_names(source: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with the schema's own names and values for those that it accepts as well."""
    own = _with_sections(source, tables)
    for entry in entries():
        table = own.get(entry.section, {})
        if entry.alias and entry.alias in table:
            if entry.name in table:
                raise UsageError(f"{source}: {entry.alias} and {entry.name} are the same setting")
            table[entry.name] = table.pop(entry.alias)
        value = table.get(entry.name)
        if isinstance(value, str):
            spelled = entry.spell(value) if entry.spell else value
            table[entry.name] = entry.spellings.get(value, spelled)
    return own


def _with_sections(source: str, tables: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings in their sections, also those with short names that stand outside of one."""
    own = {part: dict(table) for part, table in tables.items() if isinstance(table, Mapping)}
    for word, value in tables.items():
        if isinstance(value, Mapping):
            continue
        entry = find_setting(word, source)
        table = own.setdefault(entry.section, {})
        if entry.name in table:
            raise UsageError(f"{source}: {word} and {entry.key} are the same setting")
        table[entry.name] = value
    return own


def _validate(source: str, tables: Mapping[str, Any]) -> Config:
    from pydantic import ValidationError

    _require_utf8(source, tables)
    try:  # strict JSON accepts a list for a tuple, but not "20" for 20 or true for 1
        return _validator().validate_json(json.dumps(tables, default=str), strict=True)
    except ValidationError as error:
        raise UsageError(f"{source}: {_explain(error.errors()[0])}") from error


def _require_utf8(source: str, tables: Mapping[str, Any]) -> None:
    """Check that each text can be written to a file.

    The names of files need not be UTF-8, and Python cannot read them where the locale is ASCII.
    """
    remedy = "rename it" if sys.getfilesystemencoding() == "utf-8" else "set PYTHONUTF8=1"
    for part, table in tables.items():
        for name, value in table.items():
            if not is_utf8(f"{part}.{name} {value}"):
                raise UsageError(f"{source}: {part}.{name} = {value} is not UTF-8: {remedy}")


@functools.cache
def _validator() -> "TypeAdapter[Config]":
    from pydantic import TypeAdapter

    return TypeAdapter(Config)


def _explain(error: Any) -> str:
    """One line for an error of pydantic: the key, the value, and what is allowed."""
    place = [part for index, part in enumerate(error["loc"]) if index < 2 or type(part) is int]  # noqa: PLR2004
    key = shorten(".".join(map(str, place)))
    is_of_several_kinds = len(place) < len(error["loc"])  # and the rest of `loc` is one of them
    if is_of_several_kinds or error["type"] == "predicate_failed":
        (entry,) = (entry for entry in entries() if entry.key == key)
        return f"{key} = {show_value(error['input'])}: must be {entry.range}"
    if error["type"] != "unexpected_keyword_argument":
        return f"{key} = {show_value(error['input'])}: {simplify(error['msg'])}"
    known = [entry.key for entry in entries()]
    siblings = [other for other in known if other.startswith(f"{error['loc'][0]}.")]
    sections = [*(part.name for part in dataclasses.fields(Config)), TABLE]
    among = siblings if len(error["loc"]) > 1 else sections
    near = difflib.get_close_matches(key, among, n=1, cutoff=0.0)[0]
    return f"{key} is not a setting; the nearest is {near}"
