"""The JSON Schema accepts and refuses the same config files as vae itself."""

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vae_cli.errors import UsageError
from vae_cli.settings import Entry, entries, merge, to_dict
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


@pytest.mark.parametrize("entry", list(entries()), ids=lambda entry: entry.key)
def test_every_setting_has_its_range_and_its_help(entry: Entry) -> None:
    assert (
        SCHEMA["properties"][entry.section]["properties"][entry.name]["description"] == entry.help
    )
    empty = [] if entry.default == () else [[]]
    wrong: list[Any] = [None, {}, *empty, [[]], "no such value" if entry.range else 3]
    if entry.low is not None and entry.high is not None:
        wrong += [entry.low - 1, entry.high + 1, *([entry.low] if entry.open_below else [])]
        assert both_accept({entry.section: {entry.name: entry.high}})
    for value in wrong if not entry.format else wrong[:4]:
        assert not both_accept({entry.section: {entry.name: value}})
    for name in (entry.alias, *entry.spellings):
        tables = {name: entry.default} if name == entry.alias else {entry.name: name}
        assert not name or both_accept({entry.section: tables})


@pytest.mark.parametrize("tables", [{"data": {"nmae": "x"}}, {"dta": {}}, {"data": 3}])
def test_unknown_keys_are_refused(tables: dict[str, Any]) -> None:
    assert not both_accept(tables)
