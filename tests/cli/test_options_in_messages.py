"""The core names settings and parameters, and the command line shows its options in their place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from vae_cli.cli._app import app
from vae_cli.cli._errors import explain, show_options
from vae_cli.errors import MARK, UsageError, VAEWarning
from vae_cli.settings import entries

PACKAGE = Path(__file__).parents[2] / "vae_cli"
CORE = sorted(
    path for path in PACKAGE.rglob("*.py") if "cli" not in path.relative_to(PACKAGE).parts
)


@pytest.mark.parametrize(
    ("message", "in_python", "in_terminal"),
    [
        ("try <model.hidden=100>", "try model.hidden=100", "try --hidden 100"),
        ("<data.name> a.csv: gone", "data.name a.csv: gone", "--data a.csv: gone"),
        ("<prior.components=9> or fewer", "prior.components=9 or", "--set prior.components=9 or"),
        ("raise <optimizer.warmup>", "raise optimizer.warmup", "raise optimizer.warmup"),
        ("try <fit=object>, <no_captions>", "fit=object, no_captions", "--fit object, --no-capt"),
        ("0 < x <= 1 in <A.png>, <1>", "0 < x <= 1 in <A.png>, <1>", "0 < x <= 1 in <A.png>, <1>"),
    ],
)
def test_a_message_speaks_the_language_of_its_reader(
    message: str, in_python: str, in_terminal: str
) -> None:
    assert in_python in str(UsageError(message))
    assert in_python in str(VAEWarning(message))
    assert in_terminal in explain(UsageError(message))[0]
    assert show_options(message) == explain(UsageError(message))[0]


def test_no_text_of_the_core_has_an_option() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in CORE
        for text in texts_of(path)
        if re.search(r"(?<![\w-])--[a-z]", text)
    ]
    assert found == []


def test_all_names_in_messages_exist() -> None:
    commands: Any = get_command(app)
    options = {
        spelled.removeprefix("--").replace("-", "_")
        for command in commands.commands.values()
        for option in command.params
        for spelled in option.opts
    }
    texts = [text for path in CORE for text in texts_of(path) if " " in text and "</" not in text]
    named = {found["name"] for text in texts for found in MARK.finditer(text)}
    assert named <= {entry.key for entry in entries()} | options
    assert len(named) > 10


def texts_of(path: Path) -> Iterator[str]:
    """The texts in a module, with an `X` in place of each value; docstrings are none."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    formatted = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    others = {id(part) for node in formatted for part in node.values}
    others |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in formatted:
        yield "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
    for node in nodes:
        text = node.value if isinstance(node, ast.Constant) and id(node) not in others else None
        if isinstance(text, str):
            yield text
