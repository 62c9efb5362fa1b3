"""The schema of the settings as JSON Schema, with which editors check and complete config files."""

import copy
from typing import Any

from vae_cli.config.entries import Entry, entries
from vae_cli.config.schema import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def to_json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file: everything that `merge` accepts, but for formats of texts.

    Aliases are properties of their own, and other spellings are in the lists of allowed values.
    """
    from pydantic import TypeAdapter

    made = _without_titles(TypeAdapter(Config).json_schema())
    sections: dict[str, Any] = {}
    for name, section in made["properties"].items():
        definition = made["$defs"][section.get("$ref", section).rsplit("/", 1)[-1]]
        sections[name] = copy.deepcopy(definition)
    for entry in entries():
        _describe(sections[entry.section]["properties"], entry)
    return {
        "$schema": DIALECT,
        "title": "Settings of vae",
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
    }


def _describe(properties: dict[str, Any], entry: Entry) -> None:
    """Add the help, the other spellings and the alias of a setting."""
    one = properties[entry.name]
    one["description"] = entry.help
    if "enum" in one:
        one["enum"] += [spelling for spelling in entry.spellings if spelling not in one["enum"]]
    if entry.alias:
        properties[entry.alias] = {**one, "description": f"The same as {entry.name}."}


def _without_titles(value: Any) -> Any:
    """The schema without the titles that pydantic makes from names; a property named so stays."""
    if isinstance(value, list):
        return [_without_titles(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_titles(one)
        for key, one in value.items()
        if not (key == "title" and isinstance(one, str))
    }
