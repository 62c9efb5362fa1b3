"""The data that a run from elsewhere names are not touched until the user confirms them."""

import builtins
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image
from support import Refused, Use, call

from vae_cli import load
from vae_cli.cli._app import main
from vae_cli.errors import UsageError
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vae_cli.runs.directory import Run

CONFIRM = (
    "run x was not trained here by you, so the path of its data is not opened: confirm it with"
)
TOUCHING = ("stat", "lstat", "open", "listdir", "scandir", "readlink", "access")
COMMANDS = [
    ("reconstruct", "--run", "x"),
    ("traverse", "--run", "x"),
    ("interpolate", "--run", "x"),
    ("sample", "--sampler", "gmm", "--run", "x"),
    ("train", "--resume", "x", "--epochs", 2),
    ("train", "--start-from", "x", "--epochs", 1),
]
IDS = ["".join(map(str, words[:2])) for words in COMMANDS]


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data x.npy, a run x that was trained on them, and its user's `VAE_HOME`."""
    folder = tmp_path_factory.mktemp("owned")
    np.save(folder / "x.npy", np.random.default_rng(0).random((64, 16, 16), np.float32))
    words = ("train", "--data", "x.npy", "--model", "mlp", "--hidden", 8, "--epochs", 1)
    done = call(*words, "--name", "x", "-q", cwd=folder, VAE_HOME=str(folder / "user"))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copied(owned: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of another user, with a copy of the run and of its data."""
    monkeypatch.setenv("VAE_HOME", str(here / "user"))
    shutil.copytree(owned / "runs" / "x", here / "runs" / "x")
    shutil.copy(owned / "x.npy", here)
    return here


def change_data(run: Run, name: str) -> None:
    """Give a run another name of its data."""
    for path in (run.best, run.last):
        checkpoint = load_checkpoint(path)
        checkpoint.facts["config"]["data"]["name"] = name
        save_checkpoint(path, Checkpoint(checkpoint.tensors, checkpoint.facts))


def watch(monkeypatch: pytest.MonkeyPatch, below: Path) -> list[str]:
    """The functions of the system that are called with a path at or below this one."""
    touched: list[str] = []

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def note_and_call(*arguments: Any, **options: Any) -> Any:
            if arguments and str(arguments[0]).startswith(str(below)):
                touched.append(f"{name} {arguments[0]}")
            return function(*arguments, **options)

        return note_and_call

    for name in TOUCHING:
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    for module in (io, builtins):
        monkeypatch.setattr(module, "open", watched("open", module.open))
    return touched


@pytest.mark.parametrize("words", [*COMMANDS, ("embed", "--run", "x")], ids=[*IDS, "embed"])
def test_a_command_that_needs_the_data_does_not_touch_them_and_says_how_to_confirm_them(
    copied: Path,
    refused: Refused,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[object, ...],
) -> None:
    path = tmp_path_factory.mktemp("a b") / "x.npy"
    np.save(path, np.zeros((64, 16, 16), np.float32))
    change_data(Run(copied / "runs" / "x"), str(path))
    touched = watch(monkeypatch, path.parent)
    flag = "vae embed" if words[0] == "embed" else "--data"
    assert refused(*words) == f"{CONFIRM} {flag} '{path}'"
    assert touched == []
    assert path.exists()
    assert touched, "the watch works"


def test_no_server_is_asked_for_the_data_of_a_run_from_elsewhere(
    copied: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(fsspec, "filesystem", lambda *words, **_: asked.append(words))
    url = "https://127.0.0.1:9/secret-{0..3}.npy"
    change_data(Run(copied / "runs" / "x"), url)
    for words in [*COMMANDS, ("embed", "--run", "x")]:
        flag = "vae embed" if words[0] == "embed" else "--data"
        assert refused(*words) == f"{CONFIRM} {flag} '{url}'"
    assert asked == []
    assert main(["embed", url, "--run", "x"])
    assert asked, "the watch works"


def test_what_needs_no_data_works_without_them(copied: Path, use: Use) -> None:
    use("sample", "-n", 2, "--run", "x", "-q")
    use("traverse", "x.npy", "--run", "x", "-q")
    explored = use("explore", "--export", "x.html", "--run", "x")
    assert "no test items and no map: run x was not trained here by you" in explored.err
    assert (copied / "x.html").exists()


def test_the_owner_needs_no_confirmation(
    copied: Path, owned: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_HOME", str(owned / "user"))
    for words in [*COMMANDS, ("embed", "--run", "x")]:
        use(*words, "-q")


@pytest.mark.parametrize("words", COMMANDS, ids=IDS)
def test_the_path_of_the_run_confirms_it(
    owned: Path, copied: Path, use: Use, words: tuple[object, ...]
) -> None:
    use(*words, "--data", owned / "x.npy", "-q")


def test_confirmed_data_give_the_test_items_of_the_run(
    owned: Path, copied: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed = use("reconstruct", "--run", "x", "--data", "x.npy", "--json").out
    monkeypatch.setenv("VAE_HOME", str(owned / "user"))
    assert use("reconstruct", "--run", "x", "--json", "--force").out == confirmed


@pytest.mark.parametrize("place", ["x.npy", "{owned}/x.npy"])
def test_a_run_that_was_resumed_after_a_confirmation_is_one_s_own(
    owned: Path, copied: Path, use: Use, place: str
) -> None:
    use("train", "--resume", "x", "--epochs", 9, "--data", place.format(owned=owned), "-q")
    use("train", "--resume", "x", "--epochs", 10, "-q")


def test_a_run_whose_path_was_changed_is_not_one_s_own(
    copied: Path, owned: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_HOME", str(owned / "user"))
    change_data(Run(copied / "runs" / "x"), "/")
    assert refused("reconstruct", "--run", "x") == f"{CONFIRM} --data /"


def test_an_older_run_without_a_signature_is_not_one_s_own(copied: Path, refused: Refused) -> None:
    best = Run(copied / "runs" / "x").best
    checkpoint = load_checkpoint(best)
    del checkpoint.facts["origin"]
    save_checkpoint(best, checkpoint)
    assert refused("reconstruct", "--run", "x").startswith(CONFIRM)


def test_the_api_opens_the_data_that_it_is_given(copied: Path) -> None:
    with pytest.raises(UsageError, match="was not trained here by you"):
        load("x").held_out()
    model = load("x", data=copied / "x.npy")
    assert 0 < len(model.held_out()) < 64


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("reconstruct", "x.npy", "--data", "x.npy"), "--data has no effect here: leave it out"),
        (("traverse", "x.npy", "--data", "x.npy"), "--data has no effect here: leave it out"),
        (("interpolate", "x.npy", "--data", "x.npy"), "--data has no effect here: leave it out"),
        (("reconstruct", "--data", "nowhere"), "--data nowhere: no such folder, file or data set"),
        (("explore", "--data", "nowhere"), "--data nowhere: no such folder, file or data set"),
        (("explore", "--data", "shapes", "--export", "x.html"), "items of 1x64x64"),
        (("reconstruct", "--data", "shapes"), "shapes holds items of 1x64x64, but x is of 1x16x16"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_mistakes_with_other_data(
    copied: Path, refused: Refused, words: tuple[str, ...], message: str
) -> None:
    assert message in refused(*words, "--run", "x")


def test_other_data_have_their_own_classes(copied: Path, use: Use, refused: Refused) -> None:
    random = np.random.default_rng(3)  # the pixels decide which pictures are held out
    for kind in ("cat", "dog"):
        (copied / "photos" / kind).mkdir(parents=True)
        for number in range(30):
            picture = Image.fromarray(random.integers(0, 256, (16, 16), np.uint8))
            picture.save(copied / "photos" / kind / f"{number}.png")
    words = ("--run", "x", "--data", "photos")
    assert any(f"{kind}/" in use("reconstruct", *words).out for kind in ("cat", "dog"))
    assert use("interpolate", *words, "--class", "cat", "--class", "dog").err.count("cat") == 1
    assert "did you mean cat" in refused("interpolate", *words, "--class", "cta", "--class", "dog")
    use("explore", "--export", "x.html", *words)
    assert '"classes": ["cat", "dog"]' in (copied / "x.html").read_text()
