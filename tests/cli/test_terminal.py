"""What a person sees in a terminal: whole words, honest bars, spinners, and quick answers."""

import fcntl
import io
import itertools
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import torch
from rich.cells import cell_len
from rich.console import Console
from support import VAE, Use, call

from vae_cli.cli._console import Terminal, line_starts
from vae_cli.cli._training import TrainingView
from vae_cli.runs import resolve as resolve_module
from vae_cli.runs.directory import Run
from vae_cli.runs.resolve import resolve
from vae_cli.settings import merge
from vae_cli.training import precision

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def see(folder: Path, columns: int, *words: object) -> str:
    """Everything that `vae` writes to a terminal of so many columns."""
    outer, inner = os.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "LINES"}}
    environment |= {"TERM": "xterm-256color", "NO_COLOR": "1"}
    command = [str(VAE), *map(str, words)]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=inner, stdout=inner, stderr=inner
    ):
        os.close(inner)
        seen = b""
        try:
            while part := os.read(outer, 65536):
                seen += part
        except OSError:  # the other end is closed
            pass
    os.close(outer)
    return ESCAPES.sub("", seen.decode()).replace("\r\n", "\n")


# ------------------------------------------------------------------ whole words


@pytest.mark.parametrize("width", [1, 10, 40, 80])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "word",
        "two words",
        "a " * 100,
        f"cannot write {'/x' * 60}: no space",
        "日本語 の 名前 " * 9,
    ],
)
def test_lines_end_between_words_and_only_a_long_word_exceeds_the_width(
    text: str, width: int
) -> None:
    starts = line_starts(text, width)
    lines = [text[a:b].rstrip() for a, b in zip([0, *starts], [*starts, None], strict=True)]
    assert [word for line in lines for word in line.split()] == text.split()
    assert all(cell_len(line) <= width or len(line.split()) == 1 for line in lines)
    together = [f"{a} {b.split()[0]}" for a, b in itertools.pairwise(lines)]
    assert all(cell_len(line) > width for line in together), "each line is as full as it can be"


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_an_error_wraps_between_words_on_a_terminal_and_is_one_line_elsewhere(
    tmp_path: Path, columns: int
) -> None:
    words = ["train", "--data", "no such data set with a rather long name of many words"]
    line = call(*words, cwd=tmp_path).stderr
    assert line.count("\n") == 1
    seen = see(tmp_path, columns, *words)
    assert seen.split() == line.split()
    assert max(map(len, seen.splitlines())) <= columns
    assert seen.count("\n") == len(seen.splitlines())


def test_a_table_is_complete_in_a_pipe_and_shows_its_numbers_on_a_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    name = "a class with a long name " * 8
    rows = [(name, 12345, 67890)]
    Terminal().table(("class", "train", "test"), rows)
    _, row = capfd.readouterr().out.splitlines()
    assert row.split() == [*name.split(), "12345", "67890"]
    terminal, buffer = Terminal(), io.StringIO()
    terminal.out = Console(file=buffer, force_terminal=True, width=60, color_system=None)
    terminal.table(("class", "train", "test"), rows)
    seen = buffer.getvalue()
    assert sorted(seen.split()) == sorted(["class", "train", "test", *row.split()])
    assert max(map(len, seen.splitlines())) <= 60


# ------------------------------------------------------------- bars and spinners


def test_the_label_of_the_bar_and_its_fill_speak_of_the_same_items(tmp_path: Path) -> None:
    settings = {"data": {"limit": 50}, "training": {"epochs": 4, "precision": "float32"}}
    resolved = resolve(merge(("test", settings)), torch.device("cpu"))
    view = TrainingView(Terminal(), Run(tmp_path), resolved)
    (task,) = view.bar.tasks
    for done in range(201):
        view.progress(done, 200)
        epoch = min(4, 1 + int(task.percentage // 25))
        assert task.description == f"epoch {epoch} of 4"
        assert (task.completed, task.total) == (done, 200)


def test_a_spinner_shows_what_takes_long_and_is_gone_at_the_end(here: Path) -> None:
    seen = see(here, 80, "sample", "-n", 400, "--seed", 1)
    assert re.search(r"loading 0:00:0\d", seen)
    assert re.search(r"decoding 0:00:0\d", seen)
    assert seen.rstrip().endswith("sample.png")
    done = call("sample", "-n", 4, cwd=here)
    assert "loading" not in done.stdout + done.stderr


@pytest.mark.slow
def test_tsne_shows_a_spinner(here: Path) -> None:
    pytest.importorskip("sklearn")
    (here / "x.csv").write_text("".join(f"{n},{n * n % 7}\n" for n in range(60)))
    call("train", "--data", "x.csv", "--epochs", 1, "--name", "x", cwd=here)
    words = ["embed", "--run", "x", "--plot", "map.png", "--method", "tsne"]
    assert re.search(r"projecting 0:00:0\d", see(here, 80, *words))


def test_bytes_that_are_no_text_are_no_answer_to_a_question(here: Path) -> None:
    outer, inner = os.openpty()
    with subprocess.Popen(
        [VAE, "runs", "rm", "small"], cwd=here, stdin=inner, stdout=inner, stderr=inner
    ) as process:
        os.write(outer, b"\xff\xfe\n\x04")  # and the end of the input
        assert process.wait(timeout=60) == 130
    seen = os.read(outer, 65536).decode(errors="replace")
    assert "remove 1 run: small? [y/N]" in seen
    assert "Traceback" not in seen
    assert "unexpected" not in seen
    assert (here / "runs/small").exists()
    os.close(outer)
    os.close(inner)


# ------------------------------------------------------------------ quick answers


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["train", "--data", "fashon-mnist"], "did you mean fashion-mnist?"),
        (["train", "--data", "x.csv"], "--data x.csv: no such folder, file or data set"),
        (["data", "shape"], "did you mean shapes?"),
        (["embed", "mnits"], "did you mean mnist?"),
        (["sample", "--run", "x"], "no run x: there is none in "),
        (["train", "--config", "artcle"], "did you mean article?"),
    ],
)
def test_a_typo_is_answered_without_importing_torch(
    words: list[str], reason: str, tmp_path: Path
) -> None:
    code = (
        "import sys; from vae_cli.cli._app import main; "
        "code = main(sys.argv[1:]); print({'numpy', 'torch'} & sys.modules.keys(), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert reason in done.stderr
    assert done.stdout == "set() 2\n"


@pytest.mark.parametrize(("epochs", "measures"), [(1, False), (499, False), (500, True)])
def test_short_trainings_start_without_measuring_the_precision(
    epochs: int, measures: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[bool] = []
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda: True)
    monkeypatch.setattr(
        resolve_module, "bfloat16_is_faster", lambda *arguments: bool(measured.append(True))
    )
    training = {"epochs": epochs, "batch_size": 32}
    config = merge(("test", {"data": {"limit": 64}, "training": training}))
    assert resolve(config, torch.device("cpu")).precision == "float32"
    assert bool(measured) == measures


def test_the_run_of_a_tiny_training_says_its_precision(use: Use) -> None:
    use("train", "--limit", 64, "--epochs", 1, "--name", "tiny")
    assert 'precision = "float32"' in Path("runs/tiny/config.toml").read_text()
