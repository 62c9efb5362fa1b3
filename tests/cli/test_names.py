"""Names that are long, or that are no text: every option that takes a path or the name of a run."""

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Refused, Use

from vae_cli.cli._errors import MAX_WORD

ON_ITEMS = ("reconstruct", "traverse", "interpolate", "swap")
USING_RUNS = (*ON_ITEMS, "sample", "manifold", "embed", "score", "explore", "evaluate")


def reading(name: str) -> Iterator[list[str]]:
    """Words with the name of a file, of a folder, of data or of a run, which does not exist."""
    for command in ON_ITEMS:
        yield [command, f"{name}.csv"]
        yield [command, "--data", f"{name}.csv"]
    for command in USING_RUNS:
        yield [command, "--run", name]
        yield [command, "--run", f"runs/{name}/best.safetensors"]
    for suffix in ("", ".csv", ".png", ".npz"):
        yield from (["score", name + suffix], ["embed", name + suffix], ["data", name + suffix])
    yield ["score", "--data", name]
    yield ["evaluate", "--data", name]
    yield ["explore", "--image", f"{name}.csv", "--export", "x.html"]
    yield ["explore", "--data", name]
    yield from (["runs", name], ["runs", f"{name}*"], ["runs", "rm", name, "--yes"], ["plot", name])
    yield from (["config", "show", name], ["config", "show", f"{name}.toml"], ["reproduce", name])
    yield from (["train", flag, name] for flag in ("--data", "--config", "--start-from"))
    yield from (["train", "--resume", name], ["train", "--set", f"data.name={name}"])
    yield from (["train", "--name", name], ["sweep", "beta=1", "--name", name])
    yield from (["sweep", "beta=1", "--config", name], ["sweep", f"data={name}"])


def writing(name: str) -> Iterator[list[str]]:
    """Words with the name of a file to write."""
    for command in (*ON_ITEMS, "sample", "manifold", "embed", "score", "runs"):
        yield [command, "-o", f"{name}.csv"]
    yield from (["runs", "-o", name + suffix] for suffix in (".md", ".tex", ".json"))
    yield from (["plot", "-o", f"{name}.png"], ["embed", "--plot", f"{name}.png"])
    yield ["explore", "--export", f"{name}.html"]
    yield ["data", "wine.csv", "--save-example", f"{name}.csv"]


@pytest.mark.parametrize("length", [300, 5000])
def test_a_name_that_is_too_long_is_one_short_line(
    wine: Path, refused: Refused, length: int
) -> None:
    name = "x" * length
    for words in reading(name):
        line = refused(*words)
        assert "xxx" in line, words
        assert len(line) < 2 * MAX_WORD, words
    for words in writing(name):
        line = refused(*words)
        assert line.startswith("cannot write xxx"), words
        assert line.endswith(": the name is too long"), words
        assert len(line) < 2 * MAX_WORD, words


@pytest.mark.parametrize("name", ["\udce9.b", "é\n\x1b[1m"])
def test_a_name_that_is_no_text_is_one_line(wine: Path, refused: Refused, name: str) -> None:
    for words in reading(name):
        refused(*words)


def test_every_output_may_have_a_name_that_is_no_text(use: Use, wine: Path) -> None:
    (wine / "runs/small").unlink()
    for words in writing("a\udcff"):
        out = use(*words).out
        assert words[-1].replace("\udcff", "\\udcff") in out.splitlines()
        assert Path(words[-1]).stat().st_size > 0, words


@pytest.mark.parametrize("character", ["x", "é", "😀"])
def test_a_name_may_be_as_long_as_the_system_allows(character: str, use: Use, wine: Path) -> None:
    most = os.pathconf(".", "PC_NAME_MAX") - len(".csv")
    name = character * (most // len(os.fsencode(character)))
    assert use("sample", "--run", "wine", "-o", f"{name}.csv").out == f"{name}.csv\n"


def test_tables_and_plots_of_a_run_whose_name_is_no_text(use: Use, wine: Path) -> None:
    run, shown = Path("runs/a\udcff"), "a\\udcff"
    (wine / "runs/small").unlink()
    shutil.copytree("runs/wine", run)
    (wine / "runs/wine").unlink()
    for suffix in (".csv", ".md", ".tex", ".json", ".png", ".svg", ".pdf"):
        use("plot" if suffix in {".png", ".svg", ".pdf"} else "runs", "-o", f"x{suffix}")
    assert next(csv.DictReader(Path("x.csv").read_text().splitlines()))["name"] == shown
    assert shown.replace("\\", "\\\\") in Path("x.md").read_text()
    assert r"a\textbackslash{}udcff &" in Path("x.tex").read_text()
    assert json.loads(Path("x.json").read_text())[0]["name"] == run.name
    for words in (["runs"], ["runs", "--json"], ["runs", "-o", "-"]):
        assert shown in use(*words).out
    for command in ("sample", "reconstruct", "embed", "score", "explore"):
        flag, suffix = ("--export", ".html") if command == "explore" else ("-o", ".csv")
        use(command, "--run", run.name, flag, f"y{suffix}", "--force")
    assert "<title>" + shown in Path("y.html").read_text()
