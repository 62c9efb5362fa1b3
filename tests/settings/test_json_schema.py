"""The JSON Schema accepts and refuses the same config files as vae itself."""

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
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


def test_named_experiments_are_accepted() -> None:
    assert [path.stem for path in CONFIGS if not both_accept(tomllib.loads(path.read_text()))] == []


def test_the_defaults_are_accepted_and_are_in_the_schema() -> None:
    tables = to_dict(merge())
    assert both_accept(tables)
    for section, table in tables.items():
        for name, value in table.items():
            assert SCHEMA["properties"][section]["properties"][name]["default"] == value


@given(st.data())
def test_it_accepts_and_refuses_the_same_values(data: st.DataObject) -> None:
    for entry in entries():
        assert all(map(both_accept, tables_for(entry, data.draw(allowed(entry), entry.key))))
        if not entry.format:  # the schema says nothing about formats
            value = data.draw(refused(entry, of_json=True), f"not {entry.key}")
            assert not any(map(both_accept, tables_for(entry, value)))


def test_it_has_every_help_text_and_accepts_other_names_and_spellings() -> None:
    for entry in entries():
        properties = SCHEMA["properties"][entry.section]["properties"]
        assert properties[entry.name]["description"] == entry.help
        for name in (entry.alias, *entry.spellings):
            tables = {name: entry.default} if name == entry.alias else {entry.name: name}
            assert not name or both_accept({entry.section: tables})


@given(files(), st.data())
def test_it_knows_what_has_an_effect(
    tables: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    assert both_accept(tables)
    for entry in entries():
        value = data.draw(allowed(entry), entry.key)
        both_accept(tables | {entry.section: tables[entry.section] | {entry.name: value}})


@pytest.mark.parametrize("tables", [{"data": {"nmae": "x"}}, {"dta": {}}, {"data": 3}])
def test_unknown_keys_are_refused(tables: dict[str, Any]) -> None:
    assert not both_accept(tables)
