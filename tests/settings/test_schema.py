"""The schema of all settings: what each accepts, what it refuses, and that nothing is lost."""

import dataclasses
import json
import math
import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from setting_values import allowed, as_toml, files, refused, tables_for

from vae_cli.errors import UsageError
from vae_cli.settings import (
    Config,
    Entry,
    Section,
    entries,
    merge,
    parse_assignments,
    sections,
    to_dict,
    to_toml,
)

ENTRIES = list(entries())
CHOICES = {f"{part.name}.{part.key}" for part in sections() if part.key}


def test_the_entries_are_all_settings_and_no_key_or_flag_is_used_twice() -> None:
    keys = [entry.key for entry in ENTRIES]
    assert len(keys) == len(set(keys))
    assert set(keys) == {
        f"{part.name}.{item.name}"
        for part in sections()
        for variant in part.variants
        for item in dataclasses.fields(variant)
    }
    short = [entry.short for entry in ENTRIES if entry.short]
    assert len(short) == len(set(short))


def test_the_default_of_an_entry_is_that_of_the_config_and_of_every_variant_that_has_it() -> None:
    for part in sections():
        for variant in part.variants:
            for item in dataclasses.fields(variant):
                (entry,) = (e for e in ENTRIES if e.key == f"{part.name}.{item.name}")
                assert entry.key in CHOICES or getattr(variant(), item.name) == entry.default
    for name, table in to_dict(Config()).items():
        for key, value in table.items():
            (entry,) = (e for e in ENTRIES if e.key == f"{name}.{key}")
            assert (tuple(value) if isinstance(value, list) else value) == entry.default


def test_every_setting_has_a_help_text_and_a_range_around_its_default() -> None:
    for entry in ENTRIES:
        assert entry.help.endswith(".")
        assert entry.help[0].isupper()
        assert re.fullmatch("([a-z]+(-[a-z]+)*)?", entry.short)
        assert all(name in entry.help for name in entry.variants)
        if entry.low is not None:
            assert entry.high is not None
            assert math.isfinite(entry.high)
            assert entry.default in entry.choices or entry.low <= entry.default <= entry.high
            assert not (entry.open_below and entry.default == entry.low)
        if entry.choices:
            assert entry.default in entry.choices
        assert entry.format in entry.help


@given(st.data())
def test_every_allowed_value_survives_toml_set_and_json_and_comes_back_equal(
    data: st.DataObject,
) -> None:
    for entry in ENTRIES:
        value = data.draw(allowed(entry), entry.key)
        for tables in tables_for(entry, value):
            config = merge(("file", tables))
            found = getattr(getattr(config, entry.section), entry.name)
            assert found == (tuple(value) if isinstance(value, list) else value)
            assert merge(("again", tomllib.loads(to_toml(config)))) == config
            assert merge(("json", json.loads(json.dumps(to_dict(config))))) == config
            ((section, table),) = tables.items()
            typed = [f"{section}.{name}={as_toml(one)}" for name, one in table.items()]
            assert merge(*parse_assignments(typed)) == config


@given(st.data())
def test_every_value_out_of_range_is_refused_with_key_value_and_range(data: st.DataObject) -> None:
    for entry in ENTRIES:
        if entry.key not in CHOICES:
            value = data.draw(refused(entry), entry.key)
            for tables in tables_for(entry, value):
                require_refusal(entry, value, tables)


def require_refusal(entry: Entry, value: Any, tables: dict[str, dict[str, Any]]) -> None:
    """A file is refused in one line that has the key, the value, and a limit of its range."""
    with pytest.raises(UsageError) as error:
        merge(("odd.toml", tables))
    message = str(error.value)
    assert message.startswith(f"odd.toml: {entry.key}")
    assert ": must be " in message
    assert "\n" not in message
    if not isinstance(value, list):
        assert json.dumps(value)[:200] in message
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if entry.low is not None and entry.high is not None and is_number and math.isfinite(value):
        limits = [float(word) for word in message.replace(",", "").split() if is_float(word)]
        assert {float(entry.low), float(entry.high)} & set(limits)


def is_float(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


@given(files())
def test_a_file_of_any_variants_is_written_with_what_has_an_effect(
    tables: dict[str, dict[str, Any]],
) -> None:
    config = merge(("file", tables))
    written = to_dict(config)
    assert merge(("again", tomllib.loads(to_toml(config)))) == config
    assert merge(("json", json.loads(json.dumps(written)))) == config
    for name, table in tables.items():
        assert written[name].items() >= table.items()
    for part in sections():
        own = {item.name for item in dataclasses.fields(getattr(config, part.name))}
        assert written[part.name].keys() == own


@given(st.data())
def test_a_setting_without_effect_is_left_out_if_it_is_the_default_and_named_otherwise(
    data: st.DataObject,
) -> None:
    for entry in ENTRIES:
        if entry.variants:
            (part,) = (part for part in sections() if part.name == entry.section)
            for other in part.names:
                if not hasattr(part.find(other), entry.name):
                    value = data.draw(allowed(entry), f"{entry.key} with {other}")
                    require_no_effect(entry, part, other, value)


def require_no_effect(entry: Entry, part: Section, other: str, value: Any) -> None:
    """A variant that does not have a setting takes its default, and names every other value."""
    choice = ("command line", {part.name: {part.key: other}})
    expected = merge(choice)
    lower = ("run x", {part.name: {entry.name: entry.default}})
    assert merge(lower, choice) == expected
    if (tuple(value) if isinstance(value, list) else value) == entry.default:
        return
    with pytest.raises(UsageError) as error:
        merge(("run x", {part.name: {entry.name: value}}), choice)
    assert str(error.value).startswith(f"run x: {entry.key} is for {part.name}.{part.key} ")
    assert str(error.value).endswith(f"not {other}: leave it out")


def test_a_range_is_written_for_a_person() -> None:
    ranges = {entry.key: entry.range for entry in ENTRIES}
    assert ranges["training.epochs"] == "1 ≤ x ≤ 100,000"
    assert ranges["optimizer.learning_rate"] == "0 < x ≤ 1"
    assert ranges["optimizer.warmup"] == "auto, or 0 ≤ x ≤ 1"
    assert ranges["model.network"] == "auto, mlp, conv, two-level, hierarchical"
    assert ranges["training.save_every"] == "epochs (5), seconds (30s) or minutes (10m)"
    assert ranges["data.name"] == ""


def test_a_setting_of_some_variants_says_so() -> None:
    helps = {entry.key: entry.help for entry in ENTRIES}
    assert helps["model.hidden"].endswith(" For mlp or two-level.")
    assert helps["prior.components"] == (
        "For vamp: pseudo-inputs. For mog: components of the mixture."
    )
    assert "For" not in helps["model.latent_dim"]
