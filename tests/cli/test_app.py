"""The app: help, unknown words, and how an error becomes one line and an exit code."""

import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from support import VAE, Refused, Vae

from vae_cli import __version__
from vae_cli.cli._app import COMMANDS, main

Capture = pytest.CaptureFixture[str]


# ---------------------------------------------------------------------- help


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_every_command(words: list[str], capfd: Capture) -> None:
    assert main(words) == 0
    out, err = capfd.readouterr()
    assert "Usage: vae" in out
    for name in COMMANDS:
        assert re.search(rf"^│ {name} +\w", out, re.MULTILINE), name
    for flag in ("--version", "--help", "--debug"):
        assert flag in out
    assert err == ""


def test_every_command_has_help_with_an_example(capfd: Capture, subtests: pytest.Subtests) -> None:
    for command in COMMANDS:
        with subtests.test(command):
            assert main([command, "--help"]) == main([command, "-h"]) == 0
            out, err = capfd.readouterr()
            assert out[: len(out) // 2] == out[len(out) // 2 :], "both are the same"
            assert f"Usage: vae {command}" in out
            assert f"vae {command}" in out.partition("Example:")[2]
            assert err == ""


def imported_modules(folder: Path, *calls: str) -> set[str]:
    """The modules that a new process has imported after it ran some command lines."""
    script = (
        "import sys; from vae_cli.cli._app import main\n"
        "for line in sys.argv[1:]: assert main(line.split()) == 0\n"
        "sys.stderr.write('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *calls],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


def test_help_and_version_import_nothing_slow(tmp_path: Path) -> None:
    calls = ["--version", "--help", *(f"{command} --help" for command in COMMANDS)]
    found = imported_modules(tmp_path, *calls)
    slow = {"torch", "torchvision", "PIL", "numpy", "safetensors", "matplotlib", "starlette"}
    assert not found & slow


def test_sampling_imports_no_torchvision(home: Path, tmp_path: Path) -> None:
    found = imported_modules(tmp_path, f"sample --run {home / 'runs/small'}")
    assert "torch" in found
    assert not found & {"torchvision", "matplotlib"}


# ------------------------------------------------------------- unknown words


@pytest.mark.parametrize(
    ("words", "named", "remedy"),
    [
        (("sampl",), "sampl", "'sample'"),
        (("frobnicate",), "frobnicate", ", ".join(COMMANDS)),
        (("train", "--epoch", "3"), "--epoch", "--epochs"),
        (("sample", "--colums", "3"), "--colums", "--columns"),
        (("train", "--frobnicate"), "--frobnicate", ""),
        (("interpolat",), "interpolat", "'interpolate'"),
        (("interpolate", "--circle"), "--circle", ""),
        (("train", "stray"), "--data stray", "no such folder, file or data set"),
        (("traverse", "a.png", "b.png"), "b.png", ""),
        (("train", "--epochs"), "--epochs", ""),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest_known_one(
    refused: Refused, words: tuple[str, ...], named: str, remedy: str
) -> None:
    message = refused(*words)
    assert named in message
    assert remedy in message


# -------------------------------------------------------------------- errors


def test_the_console_script_prints_an_error_as_one_plain_line(vae: Vae, tmp_path: Path) -> None:
    done = vae("sample", "-o", "x\x1b[31m.jpg")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"error: [ -~]+\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_python_m_vae_cli_is_the_same_command(tmp_path: Path) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "vae_cli", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    assert run("--version") == (0, f"vae {__version__}\n", "")
    code, out, err = run("sample", "-o", "x.bmp")
    assert (code, out) == (2, "")
    assert err.startswith("error: --output x.bmp")
    assert err.count("\n") == 1


def test_debug_prints_the_traceback_before_the_error(capfd: Capture) -> None:
    assert main(["sample", "--debug", "-o", "x.bmp"]) == 2
    err = capfd.readouterr().err
    assert "Traceback" in err
    assert "require_items_name" in err
    assert err.splitlines()[-1].startswith("error: --output x.bmp")


def test_an_unexpected_error_is_one_line_that_names_debug(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_words: object, **_more: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("vae_cli.cli._inputs.RunChoice.open", fail)
    assert main(["sample"]) == 1
    expected = "error: unexpected ZeroDivisionError: a bug (--debug shows more)\n"
    assert capfd.readouterr() == ("", expected)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "the memory is full: "),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes\nx"), "the memory is "),
        (
            ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn"),
            "uvicorn is missing",
        ),
        (ModuleNotFoundError("no", name="sklearn.manifold"), "pip install scikit-learn"),
        (ImportError("libgomp.so.1: cannot open\nx"), "install it again: libgomp.so.1"),
        (ImportError("libtorch_cpu.so: failed to map segment"), "the memory is full: "),
        (OSError(12, "Cannot allocate memory"), "the memory is full: "),
    ],
)
def test_what_a_computer_lacks_is_one_line_that_says_what_to_do(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    def fail(*_words: object, **_more: object) -> None:
        raise error

    monkeypatch.setattr("vae_cli.cli._inputs.RunChoice.open", fail)
    assert main(["sample"]) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert expected in err
    assert "unexpected" not in err


def test_a_size_of_the_terminal_that_is_impossible_is_ignored(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    values = ("0", "-3", "", "wide", "²", "4000000000", "9" * 20)
    for name, value in product(("COLUMNS", "LINES"), values):
        with subtests.test(f"{name}={value}"):
            for words, code in ((["sample", "-o", "x.bmp"], 2), (["sample", "--help"], 0)):
                monkeypatch.setenv(name, value)
                assert main(words) == code
                out, err = capfd.readouterr()
                assert "--temperature" in out if code == 0 else err.startswith("error: --output x")
        monkeypatch.delenv(name, raising=False)


def test_ctrl_c_in_a_command_is_one_line_and_exit_code_130(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_words: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vae_cli.cli._inputs.RunChoice.open", interrupt)
    assert main(["sample"]) == 130
    assert capfd.readouterr() == ("", "stopped\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_stdout_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [VAE, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "error: the disk is full\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["train", "--help"],
        pytest.param(
            ["reconstruct", "-n", "1000", "--json", "--scale", "1", "-o", "OUT"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_reader_that_closes_the_pipe_causes_no_error_message(
    words: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cwd = request.getfixturevalue("home") if "reconstruct" in words else tmp_path
    with subprocess.Popen(
        [VAE, *(str(tmp_path / "a.png") if word == "OUT" else word for word in words)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        command.stdout.close()
        assert command.stderr is not None
        err = command.stderr.read()
    assert command.returncode == 1
    for word in ("Traceback", "Exception", "error"):
        assert word not in err


def test_help_is_there_when_python_removes_docstrings() -> None:
    script = "import sys; from vae_cli.cli._app import main; sys.exit(main(sys.argv[1:]))"
    for words in ([], ["sample"], ["train"]):
        pages = [
            subprocess.run(
                [sys.executable, *flags, "-c", script, *words, "--help"],
                capture_output=True,
                check=True,
            ).stdout
            for flags in ([], ["-OO"])
        ]
        assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("train", "--seeds", "3"), "vae sweep takes it"),
        (("sweep", "--resume"), "vae train takes it"),
        (
            ("sample", "--hidden", "4"),
            "vae train takes it, and a run keeps what it was trained with",
        ),
        (("sample", "--processes", "2"), "it is for vae train, embed, evaluate, score, sweep"),
    ],
)
def test_an_option_of_another_command_leads_to_it(
    words: tuple[str, ...], advice: str, refused: Refused
) -> None:
    line = refused(*words)
    assert line.startswith(f"No such option: {words[1]}")
    assert line.endswith(f"; {advice}")
