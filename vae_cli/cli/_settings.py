"""The options that set settings; they are made from the schema."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, final, get_args, get_origin

import typer

from vae_cli.cli._options import OptionGroup
from vae_cli.cli._parsing import is_choice
from vae_cli.data.table_names import split_names
from vae_cli.errors import UsageError
from vae_cli.settings import Entry, entries, read_layers
from vae_cli.settings.outside import find_variant, is_path


@final
@dataclass(frozen=True)
class SettingsFiles:
    """Settings that are not typed as options of their own.

    Attributes:
        config: a file with settings, or a named experiment.
        assignments: settings as `KEY=VALUE`.
    """

    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="FILE.toml",
            help="File with settings, or a named experiment such as article; flags override it.",
        ),
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as beta=4; repeatable."),
    ] = None

    def read_layers(
        self, typed: Mapping[str, Mapping[str, Any]]
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """The layers for `merge`: the file, each assignment, and what was typed as options.

        Raises:
            UsageError: there is no such file, or an assignment is malformed.
        """
        return read_layers(self.config, self.assignments or [], typed)


SettingsGroup = Annotated[SettingsFiles, OptionGroup(SettingsFiles)]


def with_settings(*sections: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one flag for each setting in some sections, or in all if none is named.

    Instead of the flags, the command receives `typed`: the tables of the settings that were typed.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.name != "typed"]
        flags = {
            entry.short.replace("-", "_"): entry
            for entry in entries()
            if entry.short and (not sections or entry.section in sections)
        }

        @functools.wraps(command)
        def wrapper(context: typer.Context, **values: Any) -> None:
            typed: dict[str, dict[str, Any]] = {}
            for name, entry in flags.items():
                value, source = values.pop(name), context.get_parameter_source(name)
                if source is not None and source.name == "COMMANDLINE":
                    if isinstance(value, list):
                        value = parse_list(entry, value)
                    elif is_number_or_word(entry):
                        value = parse_number(value)
                    typed.setdefault(entry.section, {})[entry.name] = value
            command(**values, typed=typed)

        kind = inspect.Parameter.KEYWORD_ONLY
        context = inspect.Parameter("context", kind, annotation=typer.Context)
        made = [_parameter(name, entry) for name, entry in flags.items()]
        wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[context, *made, *(p.replace(kind=kind) for p in own)]
        )
        return wrapper

    return decorate


def is_number_or_word(entry: Entry) -> bool:
    """Whether a setting is a number, or one of some words; Typer has no options of such a type."""
    return get_origin(entry.type) in {Union, UnionType}


def parse_number(text: str) -> float | str:
    """A number, or the text as it is if it is none, which is then validated as a word."""
    try:
        return float(text)
    except ValueError:
        return text


def parse_list(entry: Entry, texts: Sequence[str]) -> list[int] | list[str]:
    """The parts of a list that is typed as `--hidden 400 --hidden 200` or `400,200`.

    They are whole numbers, or names. A name with a comma is written in quotation marks.

    Raises:
        UsageError: a part is not a whole number, or a name is empty.
    """
    if str in get_args(entry.type):
        names = [name for text in texts for name in split_names(text)]
        if not all(names):
            raise UsageError(f"--{entry.short} {' '.join(texts)}: a name is empty")
        return names
    for text in texts:
        if not re.fullmatch(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", text, re.ASCII):
            remedy = "write a whole number, or several as in 400,200"
            raise UsageError(f"--{entry.short} {text}: {remedy}")
    return [int(part) for text in texts for part in text.split(",")]


def accepted_words() -> dict[str, str]:
    """The words that are accepted for names and values of flags, and the words that they mean."""
    words: dict[str, str] = {}
    for entry in entries():
        if entry.alias and entry.short:
            words[entry.alias] = entry.short
        words.update(entry.spellings)
    return words


def _parameter(name: str, entry: Entry) -> inspect.Parameter:
    if is_choice(entry):
        return _choosing_parameter(name, entry)
    repeated = isinstance(entry.default, tuple)
    is_text = is_number_or_word(entry)
    kind = list[str] if repeated else str if is_text else entry.type
    low = None if is_text or entry.open_below else entry.low
    high = None if is_text else entry.high
    option = typer.Option(
        f"--{entry.short}",
        help=entry.help,
        metavar=entry.metavar or ("N" if repeated else "X" if is_text else None),
        min=low,
        max=high,
        rich_help_panel=entry.section.capitalize(),
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=list(map(str, entry.default)) if repeated else entry.default,
        annotation=Annotated[kind, option],
    )


def _choosing_parameter(name: str, entry: Entry) -> inspect.Parameter:
    """The option of a component, which may be one from outside."""
    option = typer.Option(
        f"--{entry.short}",
        help=entry.help,
        metavar=f"<{'|'.join(entry.choices)}>",
        parser=functools.partial(_parse_component, entry),
        autocompletion=lambda: entry.choices,
        rich_help_panel=entry.section.capitalize(),
    )
    annotation = Annotated[str, option]
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=entry.default, annotation=annotation)


def _parse_component(entry: Entry, text: str) -> str:
    """The name of a component: one of `vae`, of an installed package, or `module:Class`.

    Raises:
        typer.BadParameter: there is no such component.
    """
    if text in entry.choices or is_path(text) or find_variant(entry.section, text):
        return text
    choices = ", ".join(map(repr, entry.choices))
    raise typer.BadParameter(f"{text!r} is not one of {choices}")
