"""The core names settings and parameters, and the command line shows its options in their place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Refused
from typer.main import get_command

from vae_cli.cli._app import ALLOW_CODE, app
from vae_cli.cli._errors import explain, show_options
from vae_cli.errors import UsageError, VAEWarning, mark
from vae_cli.settings import entries

PACKAGE = Path(__file__).parents[2] / "vae_cli"
CORE = sorted(
    path for path in PACKAGE.rglob("*.py") if "cli" not in path.relative_to(PACKAGE).parts
)


COMMAND = re.compile(r"\bvae (?P<command>[a-z]+) --(?P<option>[a-z-]+)")  # right in both worlds


@pytest.mark.parametrize(
    ("message", "in_python", "in_terminal"),
    [
        (f"try {mark('model.hidden=100')}", "try model.hidden=100", "try --hidden 100"),
        (f"{mark('data.name')} a.csv: gone", "data.name a.csv: gone", "--data a.csv: gone"),
        (
            f"{mark('prior.components=9')}, 8",
            "prior.components=9, 8",
            "--set prior.components=9, 8",
        ),
        (f"raise {mark('optimizer.warmup')}", "raise optimizer.warmup", "raise optimizer.warmup"),
        (
            f"{mark('fit=object')}, {mark('no_captions')}",
            "=object, no_c",
            "--fit object, --no-capt",
        ),
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


@pytest.mark.parametrize("own", ["<data>", "photos <old>", "<optimizer.learning_rate>", "<by=x>"])
def test_a_text_of_the_user_is_never_changed(own: str, refused: Refused, tmp_path: Path) -> None:
    assert f"--data {own}.csv: no such" in refused("train", "--data", f"{own}.csv")
    table = tmp_path / f"{own}.csv"
    table.write_text(f"a,{own}\n" + "".join(f"{n % 3},{n}.25\n" for n in range(40)) + "1,x\n")
    message = refused("train", "--data", table.name)
    assert table.name in message
    assert f"column {own}: " in message
    assert refused("runs", f"{own}*").startswith(f"no run {own}*: ")
    assert refused("train", "--set", f"{own}=1").startswith(f"--set {own}=1")
    assert str(UsageError(f"{own}: gone")) == f"{own}: gone"


def test_no_text_of_the_core_has_an_option_except_in_a_whole_command() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in CORE
        for text in texts_of(path)
        if re.search(r"(?<![\w-])--[a-z]", COMMAND.sub("", text))
    ]
    assert found == []


def test_all_names_in_messages_exist() -> None:
    commands: Any = get_command(app)
    options = {
        name: {spelled.removeprefix("--") for option in command.params for spelled in option.opts}
        for name, command in commands.commands.items()
    }
    parameters = {option.replace("-", "_") for names in options.values() for option in names}
    parameters |= {ALLOW_CODE.removeprefix("--").replace("-", "_")}  # it stands anywhere
    marked = {name.partition("=")[0] for path in CORE for name in marks_of(path)}
    assert marked <= {entry.key for entry in entries()} | parameters
    assert len(marked) > 10
    texts = [text for path in CORE for text in texts_of(path)]
    whole = {(found[1], found[2]) for text in texts for found in COMMAND.finditer(text)}
    assert all(option in options[command] for command, option in whole)
    assert len(whole) > 1


def marks_of(path: Path) -> Iterator[str]:
    """What the core marks in its messages, where it is written there, and the start of the rest."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Name(id="mark"), args=[ast.Constant(value=str(name))]):
                yield name
            case ast.Call(
                func=ast.Name(id="mark"),
                args=[ast.JoinedStr(values=[ast.Constant(value=str(name)), *_])],
            ) if "=" in name:
                yield name


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
