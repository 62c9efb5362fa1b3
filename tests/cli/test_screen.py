"""Names from elsewhere reach the screen as they are: no command lets them control a terminal."""

import shutil
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from support import invisible_characters

from vae_cli.cli._app import COMMANDS, main
from vae_cli.cli._console import Terminal
from vae_cli.files import exists

HOSTILE = "\x1b[31m[copy][red][link=x:y]\u202e"  # an escape code, markup of Rich, right to left
SHOWN = r"\x1b[31m[copy][red][link=x:y]\u202e"
RUN, DATA, FILE = f"run {HOSTILE}", f"data {HOSTILE}", f"file {HOSTILE}.png"
CLASSES = [f"{letter} {HOSTILE}" for letter in "ab"]
PICTURE = ("-o", f"out {HOSTILE}.png")
# What each command is asked for, so that it prints names.
WORDS: dict[str, list[tuple[object, ...]]] = {
    "train": [("--data", DATA, "--epochs", 1, "--image-size", 16)],
    "reconstruct": [(FILE, *PICTURE), ("-n", 2, *PICTURE)],
    "sample": [("-n", 2, *PICTURE)],
    "traverse": [("--dim", "all", *PICTURE)],
    "interpolate": [("--class", "a", "--class", "b", *PICTURE)],
    "manifold": [PICTURE],
    "swap": [("--class", "a", "--class", "b", *PICTURE)],
    "embed": [("-o", f"out {HOSTILE}.csv", "--plot", f"map {HOSTILE}.png")],
    "evaluate": [("--samples", 1)],
    "score": [PICTURE, (FILE, *PICTURE)],
    "impute": [(f"{FILE}",)],
    "explore": [("--export", f"page {HOSTILE}.html")],
    "data": [(DATA,)],
    "sweep": [("model.latent_dim=2", "--data", DATA, "--name", HOSTILE)],
    "reproduce": [(HOSTILE,)],
    "runs": [(), ("-o", f"runs {HOSTILE}.md"), ("rm", HOSTILE)],
    "plot": [(RUN, "-o", f"plot {HOSTILE}.png")],
    "config": [("show", HOSTILE)],
    "check": [("--device", HOSTILE)],
}
OF_A_RUN = {"reconstruct", "sample", "traverse", "interpolate", "manifold", "swap", "embed"}
OF_A_RUN |= {"evaluate", "score", "explore", "impute"}


@pytest.fixture(scope="module")
def hostile_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, data, classes and a file that have hostile names."""
    folder, draw = tmp_path_factory.mktemp("hostile"), np.random.default_rng(0)
    for name in CLASSES:
        place = folder / DATA / name
        place.mkdir(parents=True)
        for number in range(30):
            pixels = draw.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(pixels).save(place / f"{number} {HOSTILE}.png")
    shutil.copy(next((folder / DATA).rglob("*.png")), folder / FILE)
    words = ["train", "--data", DATA, "--model", "mlp", "--hidden", "4", "--latent-dim", "2"]
    with chdir(folder):
        assert main([*words, "--image-size", "16", "--epochs", "1", "--name", "plain", "-q"]) == 0
    (folder / "runs/plain").rename(folder / "runs" / RUN)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_hostile_names_are_shown_and_obeyed_by_nothing(
    hostile_home: Path,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(hostile_home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for words in WORDS[command]:
        more = ("--run", RUN) if command in OF_A_RUN else ()
        main([command, *map(str, (*words, *more))])
        out, err = capfd.readouterr()
        assert invisible_characters(out + err) == []
        assert SHOWN in out + err
        assert "unexpected" not in err
    assert exists(Path("runs") / RUN)


def test_markup_in_a_description_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    terminal.out = Console(force_terminal=True, width=120, record=True)
    name = f"{HOSTILE}[/]"
    with terminal.bar(f"one {name}") as progress, terminal.spinner(f"two {name}"):
        progress(1, 2)
    shown = terminal.out.export_text()
    assert f"one {SHOWN}[/]" in shown
    assert f"two {SHOWN}[/]" in shown
