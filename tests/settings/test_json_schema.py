"""The JSON Schema accepts and refuses the same config files as vae itself."""

import math
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from setting_values import allowed, files, refused, tables_for

from vae_cli.errors import UsageError
from vae_cli.settings import entries, merge, to_dict
from vae_cli.settings.json_schema import to_json_schema

SCHEMA = to_json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def both_accept(tables: dict[str, Any]) -> bool:
    """Whether vae accepts the tables; the schema must agree."""
    try:
        merge(("file", tables))
    except UsageError:
        accepted = False
    else:
        accepted = True
    assert VALIDATOR.is_valid(tables) == accepted, tables
    return accepted


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_named_experiments_are_accepted(path: Path) -> None:
    assert both_accept(tomllib.loads(path.read_text()))


def test_the_defaults_are_accepted_and_are_in_the_schema() -> None:
    tables = to_dict(merge())
    assert both_accept(tables)
    for section, table in tables.items():
        for name, value in table.items():
            assert SCHEMA["properties"][section]["properties"][name]["default"] == value


def is_json(value: Any) -> bool:
    return not (isinstance(value, float) and math.isnan(value))


@settings(max_examples=150, deadline=None, database=None)
@given(st.data())
def test_it_accepts_and_refuses_the_same_values(data: st.DataObject) -> None:
    entry = data.draw(st.sampled_from(entries()))
    properties = SCHEMA["properties"][entry.section]["properties"]
    assert properties[entry.name]["description"] == entry.help
    assert both_accept(tables_for(entry, data.draw(allowed(entry))))
    if not entry.format:  # the schema says nothing about formats
        value = data.draw(refused(entry).filter(is_json))
        assert not both_accept(tables_for(entry, value))
    for name in (entry.alias, *entry.spellings):
        tables = {name: entry.default} if name == entry.alias else {entry.name: name}
        assert not name or both_accept({entry.section: tables})


@settings(max_examples=80, deadline=None, database=None)
@given(files(), st.data())
def test_it_knows_what_has_an_effect(
    tables: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    assert both_accept(tables)
    entry = data.draw(st.sampled_from(entries()))
    value = data.draw(allowed(entry))
    both_accept(tables | {entry.section: tables[entry.section] | {entry.name: value}})


@pytest.mark.parametrize("tables", [{"data": {"nmae": "x"}}, {"dta": {}}, {"data": 3}])
def test_unknown_keys_are_refused(tables: dict[str, Any]) -> None:
    assert not both_accept(tables)
