"""What is printed, and where: results on stdout, notes on stderr, nothing unsafe."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use, invisible_characters

from vae_cli.cli._app import main
from vae_cli.cli._console import Terminal, printable

Capture = pytest.CaptureFixture[str]
TRAIN = ("train", "--data", "wine.csv", "--precision", "float32")


# ---------------------------------------------------------------- stdout, stderr


@pytest.mark.parametrize(
    "words",
    [
        (*TRAIN, "--epochs", 1),
        ("sample",),
        ("reconstruct",),
        ("reconstruct", "--sample"),
        ("traverse", "--dim", "all"),
        ("interpolate",),
        ("embed", "--plot", "map.png", "--run", "wine"),
        ("explore", "--export", "page.html"),
        ("data",),
    ],
)
def test_quiet_prints_nothing(use: Use, wine: Path, words: tuple[object, ...]) -> None:
    assert use(*words, "--quiet") == ("", "")


@pytest.mark.parametrize(
    "words",
    [
        ("reconstruct", "--json", "-q"),
        ("data", "--json", "--quiet"),
        ("traverse", "--json", "-q"),
        ("embed", "--json", "-q", "--run", "wine"),
        (*TRAIN, "--epochs", 1, "--json", "-q"),
    ],
)
def test_json_is_printed_in_spite_of_quiet(use: Use, wine: Path, words: tuple[object, ...]) -> None:
    out, err = use(*words)
    assert json.loads(out)
    assert err == ""


def test_a_pipe_gets_the_result_on_stdout_and_the_notes_on_stderr(use: Use) -> None:
    out, err = use("sample", "--seed", 1, "-o", "no/such/folder/a.png")
    assert out == "no/such/folder/a.png\n"
    assert err.startswith("run runs/small: newest of 1; ")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("reconstruct", "missing.png"), 2),
        (("traverse", "missing.png"), 2),
        (("traverse", "--index", 10_000), 2),
        (("traverse", "--dim", 20), 2),
        (("reconstruct", "-o", "file/out.png"), 1),
        (("sample", "-n", 10_000, "--scale", 64), 2),
        (("sample", "-n", 10_000, "--scale", 8, "-o", "out.gif"), 2),
        (("interpolate", "missing.png", "missing.png"), 2),
        (("interpolate", "--class", "bag", "--class", "bgs"), 2),
        (("embed", "missing"), 2),
        (("embed", "few.npy", "-o", "file/out.npz"), 1),
    ],
)
def test_an_error_is_the_only_line_on_stderr(
    here: Path, refused: Refused, words: tuple[object, ...], code: int
) -> None:
    """The notes about the run and the seed are printed only together with a result."""
    (here / "file").touch()
    np.save("few.npy", np.zeros((3, 28, 28)))
    refused(*words, code=code)


def test_remarks_are_printed_once_and_with_the_result(capfd: Capture) -> None:
    terminal = Terminal()
    terminal.remark("about it")
    assert capfd.readouterr() == ("", "")
    terminal.result("first")
    terminal.result("second")
    assert capfd.readouterr() == ("first\nsecond\n", "about it\n")


def test_an_error_is_printed_in_spite_of_quiet(refused: Refused) -> None:
    assert "vae train" in refused("sample", "--quiet")


# ------------------------------------------------------------- unsafe characters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain näme 漢字 🙂", "plain näme 漢字 🙂"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x07\x7f\x9b", r"\x07\x7f\x9b"),
        ("\u202e\u2066\u200b\u2028", r"\u202e\u2066\u200b\u2028"),
        ("\U000e0041", r"\U000e0041"),
        ("\udcff", r"\udcff"),
    ],
)
def test_characters_that_could_control_a_terminal_are_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_the_name_of_a_missing_file_is_escaped_in_the_error(here: Path, refused: Refused) -> None:
    message = refused("reconstruct", "-q", "a\x1b[31mb\u202ec\n\x07\x9b.png", "-o", "out.png")
    assert r"a\x1b[31mb\u202ec\n\x07\x9b.png" in message


def test_names_of_files_are_escaped_in_the_table_but_exact_in_json(
    here: Path, capfd: Capture
) -> None:
    name = "a\x1b[31mb\u202ec.png"
    Image.new("L", (8, 8)).save(name)
    words = ["reconstruct", name, "-o", "z\x1b[2J.png"]
    assert main(words) == 0
    out, err = capfd.readouterr()
    assert invisible_characters(out + err) == []
    assert r"a\x1b[31mb\u202ec.png" in out
    assert r"z\x1b[2J.png" in out
    assert main([*words, "--json"]) == 0
    out, err = capfd.readouterr()
    assert invisible_characters(out + err) == []
    assert json.loads(out)["images"][0]["image"] == name


def test_markup_of_rich_in_a_name_is_printed_as_it_is(here: Path, use: Use) -> None:
    out, _ = use("sample", "-n", 1, "-o", "[red]a[/red].png")
    assert out == "[red]a[/red].png\n"


def test_a_long_line_is_not_wrapped(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert f"no run {'x' * 200}: " in refused("sample", "--run", "x" * 200)
