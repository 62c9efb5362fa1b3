"""The schema of the settings as JSON Schema, with which editors check and complete config files."""

import copy
from typing import Any, get_args, get_type_hints

from vae_cli.settings.entries import Entry, entries
from vae_cli.settings.published import TABLE, Claim, Published
from vae_cli.settings.schema import Config
from vae_cli.settings.setting import Setting

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def to_json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file: everything that `merge` accepts.

    It says nothing about the formats of texts and about what a claim needs. Aliases are properties
    of their own, and other spellings are in the lists of allowed values.
    """
    from pydantic import TypeAdapter

    made = _without_titles(TypeAdapter(Config).json_schema())
    sections: dict[str, Any] = {}
    for name, section in made["properties"].items():
        definition = made["$defs"][section.get("$ref", section).rsplit("/", 1)[-1]]
        sections[name] = copy.deepcopy(definition)
    for entry in entries():
        _describe(sections[entry.section]["properties"], entry)
    sections[TABLE] = _describe_published(TypeAdapter(Published).json_schema())
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


def _describe_published(made: dict[str, Any]) -> dict[str, Any]:
    """The schema of the table `[published]`, with that of a claim in it."""
    schema: dict[str, Any] = _without_titles(made)
    claim = schema.pop("$defs")[Claim.__name__]
    schema["properties"]["claims"]["items"] = claim
    for kind, properties in ((Published, schema["properties"]), (Claim, claim["properties"])):
        for name, hint in get_type_hints(kind, include_extras=True).items():
            setting = next(note for note in get_args(hint) if isinstance(note, Setting))
            properties[name]["description"] = setting.help
    return schema


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
