"""Several values of several settings: `beta=0.5,1,4` and `latent-dim=2,10` are six runs."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_cli.errors import UsageError, mark
from vae_cli.settings.entries import Entry, find_setting, short_name
from vae_cli.settings.layers import Layer, merge, to_dict, trust_typed, validate
from vae_cli.settings.schema import Config
from vae_cli.settings.values import parse_value, parse_values

MAX_RUNS = 1000  # of a sweep


@dataclass(frozen=True)
class Axis:
    """A setting and the values that it takes in a sweep.

    Attributes:
        text: as it was typed, for error messages.
        entry: the setting.
        values: as in a config file.
    """

    text: str
    entry: Entry
    values: Sequence[Any]


@dataclass(frozen=True)
class Variant:
    """One run of a sweep.

    Attributes:
        name: of the run: the values that are varied.
        config: all of its settings.
    """

    name: str
    config: Config


def parse_axis(text: str) -> Axis:
    """Parse `setting=value,value`; the values are TOML, or else texts between commas.

    Raises:
        UsageError: there is no such setting or no value, or a value is there twice.
    """
    word, equals, listed = text.partition("=")
    if not (equals and word.strip() and listed.strip()):
        raise UsageError(f"{text}: write setting=value,value, as in beta=0.5,1,4")
    entry = find_setting(word, text)
    values = parse_values(listed)
    if values is None:
        values = [parse_value(part.strip()) for part in listed.split(",")]
    trust_typed([{entry.section: {entry.name: value}} for value in values], {})
    return Axis(text, entry, _without_repeats(values, text))


def parse_seeds(text: str) -> Axis:
    """Parse `0:3`, the seeds 0, 1 and 2, or a list as in `0,4,7`.

    Raises:
        UsageError: it is neither, or there are too many seeds.
    """
    if match := re.fullmatch(r"(\d{1,18}):(\d{1,18})", text, re.ASCII):
        seeds: Sequence[int] = range(int(match[1]), int(match[2]))
    elif re.fullmatch(r"\d{1,18}(,\d{1,18})*", text, re.ASCII):
        seeds = [int(part) for part in text.split(",")]
    else:
        raise UsageError(
            f"{mark('seeds')} {text}: write START:STOP, as in 0:3, or a list as in 0,4,7"
        )
    if not 0 < len(seeds) <= MAX_RUNS:
        raise UsageError(
            f"{mark('seeds')} {text} are {len(seeds):,} seeds: 1 to {MAX_RUNS:,} are possible"
        )
    entry = find_setting("training.seed", mark("seeds"))
    return Axis(
        f"{mark('seeds')} {text}", entry, _without_repeats(seeds, f"{mark('seeds')} {text}")
    )


def expand_sweep(name: str, layers: Sequence[Layer], axes: Sequence[Axis]) -> list[Variant]:
    """All combinations of the values of some settings; the last setting changes the fastest.

    Settings of the data change the slowest, so that each data set is loaded once.

    Args:
        name: the beginning of the name of each run.
        layers: the other settings, as for `merge`.
        axes: the settings that are varied.

    Raises:
        UsageError: a setting is varied twice, a value is not allowed, or there are too many runs.
    """
    _require_different(axes)
    ordered = sorted(axes, key=lambda axis: axis.entry.section != "data")
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MAX_RUNS:
        raise UsageError(f"these are {count:,} runs: at most {MAX_RUNS:,} are possible")
    for axis in ordered:
        for value in axis.values:
            validate(*_layer(axis, value))
    variants = [
        _make_variant(name, layers, list(zip(ordered, values, strict=True)))
        for values in itertools.product(*(axis.values for axis in ordered))
    ]
    if len({variant.name for variant in variants}) < len(variants):
        raise UsageError("two of these runs would have the same name: make the values differ more")
    return variants


def _make_variant(
    name: str,
    layers: Sequence[Layer],
    choices: Sequence[tuple[Axis, Any]],
) -> Variant:
    config = merge(*layers, *(_layer(axis, value) for axis, value in choices))
    tables = to_dict(config)
    parts = [_spell(axis.entry, tables) for axis, _ in choices]
    return Variant("-".join([name, *parts]), config)


def _layer(axis: Axis, value: Any) -> tuple[str, dict[str, Any]]:
    return axis.text, {axis.entry.section: {axis.entry.name: value}}


def _spell(entry: Entry, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """A setting and its value as a part of the name of a run, such as `beta-0.5`."""
    value = tables[entry.section].get(entry.name, entry.default)  # the variant may not have it
    if isinstance(value, float):
        text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
    elif isinstance(value, list):
        text = "-".join(map(str, value))
    else:
        text = Path(value).stem if entry.key == "data.name" else str(value)
    return re.sub(r"[^\w.-]", "-", f"{short_name(entry)}-{text}")


def _without_repeats(values: Sequence[Any], text: str) -> Sequence[Any]:
    spelled = [json.dumps(value, default=str) for value in values]
    if not values or len(set(spelled)) < len(spelled):
        raise UsageError(f"{text}: {'a value is there twice' if values else 'name a value'}")
    return values


def _require_different(axes: Sequence[Axis]) -> None:
    for axis, other in itertools.combinations(axes, 2):
        if axis.entry.key == other.entry.key:
            raise UsageError(f"{axis.text} and {other.text}: give only one of them")
