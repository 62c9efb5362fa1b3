"""Settings from files, from assignments and from options: merged in this order, validated once."""

import dataclasses
import difflib
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

from vae_cli.errors import UsageError, is_utf8, mark
from vae_cli.files import read_file
from vae_cli.settings.entries import (
    Entry,
    Section,
    entries,
    explain_no_effect,
    find_setting,
    own_entries,
    sections,
)
from vae_cli.settings.from_class import without_code
from vae_cli.settings.likelihoods import AutoLikelihood
from vae_cli.settings.networks import AutoNetwork
from vae_cli.settings.objectives import ELBO, TotalCorrelation
from vae_cli.settings.outside import (
    allow,
    can_import,
    explain_refusal,
    find_variant,
    is_path,
    known_variants,
    names_of,
    paths_in,
)
from vae_cli.settings.plan import Plan, make_plan
from vae_cli.settings.priors import AutoPrior
from vae_cli.settings.published import TABLE, split_published
from vae_cli.settings.schema import Config
from vae_cli.settings.values import parse_value, shorten, validate_value

MAX_BYTES = 2**20  # of a config file
COMMAND_LINE = "command line"  # the source of settings that an error names by themselves
ALL_OF_SCHEMA_4 = {"samples", "groups", "capacity", "gamma", "alpha", "mmd_weight"}  # [objective]
Layer = tuple[str, Mapping[str, Any]]


def read_config(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML file, without validating them.

    Earlier versions wrote all settings into `config.toml`: those without effect are left out, for
    which a file that a user wrote is refused.

    Raises:
        UsageError: the file is missing, unreadable, larger than 1 MiB, not a file, or not TOML.
    """
    try:
        tables = tomllib.loads(read_file(path, MAX_BYTES).decode())
        return _drop_unused(tables) if _has_all_settings(tables) else tables
    except OSError as error:
        raise UsageError(f"cannot read config {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise UsageError(f"{path} is not TOML: {error or 'nested too deeply'}") from error


def _has_all_settings(tables: Mapping[str, Any]) -> bool:
    """Whether a file has every setting of the objective, which no objective has."""
    table = tables.get("objective")
    return isinstance(table, Mapping) and table.keys() >= ALL_OF_SCHEMA_4


def _drop_unused(tables: Mapping[str, Any]) -> dict[str, Any]:
    unused = {entry.key for entry in without_effect(tables)}
    return {
        section: {name: table[name] for name in table if f"{section}.{name}" not in unused}
        if isinstance(table, Mapping)
        else table
        for section, table in tables.items()
    }


def parse_assignment(text: str) -> dict[str, Any]:
    """Parse `section.key=value` or `key=value`; a value that is not TOML is taken as text.

    Raises:
        UsageError: there is no `=` or no key.
    """
    key, equals, value = text.partition("=")
    part, dot, name = key.strip().partition(".")
    if not (equals and part) or bool(dot) != bool(name):
        raise UsageError(
            f"{mark('set')} {text}: write KEY=VALUE, as in beta=4 or model.latent_dim=10"
        )
    parsed = parse_value(value)
    return {part: {name: parsed} if name else parsed}


def parse_assignments(texts: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """A layer for `merge` for each text `section.key=value`.

    Raises:
        UsageError: a text is malformed, or two of them set the same key.
    """
    layers: dict[str, tuple[str, dict[str, Any]]] = {}
    for text in texts:
        source = f"{mark('set')} {text}"
        tables = _with_own_names(source, parse_assignment(text))
        key = ".".join(f"{part}.{name}" for part, table in tables.items() for name in table)
        if key in layers:
            raise UsageError(f"{layers[key][0]} and {source}: give only one of them")
        layers[key] = source, tables
    return list(layers.values())


class Given(NamedTuple):
    """A value that was given for a setting, and where it came from."""

    value: Any
    source: str


Tables = dict[str, dict[str, Given]]


def merge(*layers: Layer) -> Config:
    """Merge several layers of settings and validate them; later layers override earlier ones.

    Each layer is `(source, tables)`; errors name the source. A setting may stand outside of its
    section under its short name, as in `{"epochs": 5}`. The table `[published]` of a named
    experiment is checked and left out, because it is no setting.

    Raises:
        UsageError: an unknown key (the message names the nearest), a wrong type, a value out of
            range, or a setting that has no effect with the variants that are chosen and is not the
            default.
    """
    merged: Tables = {}
    chosen = choose_outside([tables for _, tables in layers])
    for source, tables in layers:
        for name, table in validate(source, tables, chosen).items():
            merged[name] = merged.get(name, {}) | table
    return Config(**{part.name: _build(part, merged.get(part.name, {})) for part in sections()})


def choose_outside(layers: Iterable[Mapping[str, Any]]) -> dict[str, type]:
    """The variants from outside that some layers choose, by section; the last one wins.

    They are loaded, so that their settings are known when the layers are validated.

    Raises:
        OutsideCodeError: the code of one may not be imported, cannot be, or is no such component.
    """
    names = {part: name for tables in layers for part, name in names_of(tables)}
    built_in = {part.name: part.names for part in sections()}
    found = {
        part: find_variant(part, name)
        for part, name in names.items()
        if name not in built_in[part] or (part, name) in dict(known_variants())
    }
    return {part: variant for part, variant in found.items() if variant is not None}


def trust_typed(assignments: Iterable[Mapping[str, Any]], typed: Mapping[str, Any]) -> None:
    """Load the components from outside that were typed: that is consent to import their code.

    A file is not typed: it may be somebody else's.

    Raises:
        OutsideCodeError: one cannot be imported, or is no such component.
    """
    layers = [*assignments, typed]
    for tables in layers:
        allow(*paths_in(tables))
    choose_outside(layers)


def _lacks_code(part: str, name: str) -> bool:
    """Whether a component is one from outside that may not be imported, or is not installed."""
    if is_path(name):
        return not can_import(part, name)
    names = next(one.names for one in sections() if one.name == part)
    return name not in names and find_variant(part, name) is None


def read_plan(tables: Mapping[str, Any]) -> Plan:
    """The plan of a run, as it was saved.

    Code from outside is imported if it is there and that is allowed; else its settings can be read
    alone.

    Raises:
        UsageError: a setting is wrong, or a choice was not made.
        OutsideCodeError: code that may be imported cannot be.
    """
    names = dict(names_of(tables))
    closed = {
        part
        for part, name in names.items()
        if isinstance(tables[part], Mapping) and _lacks_code(part, name)
    }
    known = {part: tables[part] for part in tables if part not in closed} if closed else tables
    config = merge(("", known))
    parts = {
        part: without_code(part, tables[part], explain_refusal(part, names[part]))
        for part in closed
    }
    config = dataclasses.replace(config, **parts)
    network, likelihood, prior = config.model, config.likelihood, config.prior
    if (
        isinstance(network, AutoNetwork)
        or isinstance(likelihood, AutoLikelihood)
        or isinstance(prior, AutoPrior)
    ):
        raise UsageError("the network, the likelihood or the prior is not chosen")
    if isinstance(config.objective, ELBO | TotalCorrelation) and config.objective.beta == "auto":
        raise UsageError("the weight of the KL divergence is not chosen")
    return make_plan(config, network, likelihood, prior)


def validate(
    source: str, tables: Mapping[str, Any], chosen: Mapping[str, type] | None = None
) -> Tables:
    """The values of one layer, under the schema's own names; it may be used with other layers.

    Args:
        source: of the layer, for messages.
        tables: the layer.
        chosen: the variants from outside that all layers together choose, by section.

    Raises:
        UsageError: as in `merge`, except for what has no effect.
    """
    if not isinstance(tables, Mapping):
        raise UsageError(f"{source} is not a table of settings")
    own = _with_own_names(source, split_published(source, tables)[0])
    return _validate(source, own, chosen or {})


def without_effect(tables: Mapping[str, Any]) -> list[Entry]:
    """The settings that have no effect with the variants that a file chooses.

    Files of versions before schema 5 have them, with any value. Nothing is validated, and nothing
    is known about a section that chooses a variant which there is not.
    """
    found = []
    for part in sections():
        table = tables.get(part.name, {})
        name = table.get(part.key) if isinstance(table, Mapping) else None
        if name is None or name in part.names:
            variant = part.default if name is None else part.find(name)
            ours = [entry for entry in entries() if entry.section == part.name]
            found += [entry for entry in ours if not hasattr(variant, entry.name)]
    return found


def _validate(source: str, tables: Mapping[str, Any], chosen: Mapping[str, type]) -> Tables:
    """The values of one layer with the types of the settings, each with its source."""
    _require_utf8(source, tables)
    known = {(entry.section, entry.name): entry for entry in entries()}
    for part, variant in chosen.items():
        known |= {(part, entry.name): entry for entry in own_entries(part, variant)}
    validated: Tables = {}
    for section, table in tables.items():
        validated[section] = {}
        if section not in {part.name for part in sections()}:
            raise UsageError(_with_source(source, _explain_unknown(section)))
        for name, value in table.items():
            entry = known.get((section, name))
            if entry is None:
                raise UsageError(_with_source(source, _explain_unknown(section, name)))
            try:
                validated[section][name] = Given(validate_value(entry, value), source)
            except UsageError as error:
                message = _with_source(source, error.message)
                if source == COMMAND_LINE:  # there, it is known by the name of its option
                    message = error.message.replace(entry.key, mark(entry.key), 1)
                raise UsageError(message) from error.__cause__
    return validated


def _build(part: Section, given: Mapping[str, Given]) -> Any:
    """A section, of the variant that is chosen."""
    chosen = given.get(part.key)
    variant = part.find(chosen.value) if chosen else part.default
    own = {item.name for item in dataclasses.fields(variant)}
    for entry in entries():
        one = given.get(entry.name) if entry.section == part.name else None
        if one and entry.name not in own and one.value != entry.default:
            source = "" if one.source == COMMAND_LINE else one.source  # the message has the option
            raise UsageError(_with_source(source, explain_no_effect(part, variant, entry)))
    return variant(**{name: one.value for name, one in given.items() if name in own - {part.key}})


def _with_source(source: str, message: str) -> str:
    return f"{source}: {message}" if source else message


@final
@dataclass(frozen=True)
class Change:
    """A setting that differs between two configs."""

    key: str
    before: Any
    after: Any


def differences(before: Config | Plan, after: Config | Plan) -> list[Change]:
    """The settings that differ between two configs, in the order of the schema.

    A setting that one of them has no use for is none of them.
    """
    old, new = to_dict(before), to_dict(after)
    both = [e for e in entries() if e.name in old[e.section] and e.name in new[e.section]]
    pairs = [(e.key, old[e.section][e.name], new[e.section][e.name]) for e in both]
    return [Change(key, was, now) for key, was, now in pairs if was != now]


def to_dict(config: Config | Plan) -> dict[str, dict[str, Any]]:
    """The tables of a config, with only the types that TOML and JSON have.

    The setting that chooses a variant comes first.
    """
    tables = dataclasses.asdict(config)
    return {
        part.name: {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in tables[part.name].items()
        }
        for part in sections()
    }


def to_toml(config: Config | Plan) -> str:
    """The config as TOML, with every setting that has an effect."""
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


def _require_utf8(source: str, tables: Mapping[str, Any]) -> None:
    """Check that each text can be written to a file.

    The names of files need not be UTF-8, and Python cannot read them where the locale is ASCII.
    """
    remedy = "rename it" if sys.getfilesystemencoding() == "utf-8" else "set PYTHONUTF8=1"
    for part, table in tables.items():
        for name, value in table.items():
            if not is_utf8(f"{part}.{name} {value}"):
                raise UsageError(f"{source}: {part}.{name} = {value} is not UTF-8: {remedy}")


def _explain_unknown(section: str, name: str | None = None) -> str:
    """A name that no setting or no section has, and the nearest that one has."""
    key = shorten(section if name is None else f"{section}.{name}")
    among = [entry.key for entry in entries() if entry.section == section]
    if name is None:
        among = [*(part.name for part in sections()), TABLE]
    near = difflib.get_close_matches(key, among, n=1, cutoff=0.0)[0]
    return f"{key} is not a setting; the nearest is {near}"
