"""The schema of the settings as JSON Schema, with which editors check and complete config files."""

from typing import Any, get_args, get_type_hints

from vae_cli.settings.entries import Entry, Section, entries, sections
from vae_cli.settings.published import TABLE, Claim, Published
from vae_cli.settings.variant import Setting

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def to_json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file: everything that `merge` accepts.

    It says nothing about the formats of texts and about what a claim needs. Aliases are properties
    of their own, and other spellings are in the lists of allowed values.
    """
    from pydantic import TypeAdapter

    tables: dict[str, Any] = {part.name: _describe_section(part) for part in sections()}
    tables[TABLE] = _describe_published(TypeAdapter(Published).json_schema())
    return {
        "$schema": DIALECT,
        "title": "Settings of vae",
        "type": "object",
        "properties": tables,
        "additionalProperties": False,
    }


def _describe_section(part: Section) -> dict[str, Any]:
    """The schema of a table: all of its settings, and for each variant those without an effect."""
    own = [entry for entry in entries() if entry.section == part.name]
    properties: dict[str, Any] = {}
    for entry in own:
        properties[entry.name] = _describe(entry)
        if entry.alias:
            same = {"description": f"The same as {entry.name}."}
            properties[entry.alias] = properties[entry.name] | same
    made = {"type": "object", "properties": properties, "additionalProperties": False}
    rules = [rule for one in part.variants if (rule := _describe_variant(part, one, own))]
    return made | ({"allOf": rules} if rules else {})


def _describe(entry: Entry) -> dict[str, Any]:
    """The schema of one value, with its help and its other spellings."""
    from pydantic import TypeAdapter

    made: dict[str, Any] = TypeAdapter(entry.hint).json_schema()
    if "enum" in made:
        made["enum"] += [spelling for spelling in entry.spellings if spelling not in made["enum"]]
    default = list(entry.default) if isinstance(entry.default, tuple) else entry.default
    return made | {"default": default, "description": entry.help}


def _describe_variant(part: Section, variant: type, own: list[Entry]) -> dict[str, Any] | None:
    """What a table with one variant may hold: the default, where a setting has no effect."""
    others = [entry for entry in own if not hasattr(variant, entry.name)]
    if not others:
        return None
    chosen: dict[str, Any] = {"properties": {part.key: {"const": getattr(variant, part.key)}}}
    if variant is not part.default:  # which is chosen too if nothing is said
        chosen["required"] = [part.key]
    allowed = {
        entry.name: {"const": list(entry.default)}
        if isinstance(entry.default, tuple)
        else {"const": entry.default}
        for entry in others
    }
    return {"if": chosen, "then": {"properties": allowed}}


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
