"""`vae train`: the run that it leaves, what repeats, and settings that are refused."""

import csv
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import Refused, Use

from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.settings import Config, merge, read_config

FILES = {
    "config.toml",
    "metrics.csv",
    "best.safetensors",
    "last.safetensors",
    "reconstructions.png",
    "samples.png",
}
WINE = ("train", "--data", "wine.csv", "--precision", "float32")  # measuring takes longer
Read = Callable[..., np.ndarray]


def read_metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def read_tensors(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "best.safetensors").tensors


def read_settings(run: Path) -> Config:
    return merge(("file", read_config(run / "config.toml")))


# ------------------------------------------------------------------- its files


def test_a_run_has_its_files_and_no_others(repetition: Any, pixels: Read) -> None:
    run = repetition.run
    assert {path.name for path in run.iterdir()} == FILES
    settings = read_settings(run)
    assert settings.training.epochs == len(read_metrics(run)) == 2
    assert 'device = "auto"' not in (run / "config.toml").read_text()
    for name in ("reconstructions.png", "samples.png"):
        assert pixels(run / name).std() > 10, "it is not empty"


def test_losses_are_the_sum_of_their_parts_and_fall(home: Path) -> None:
    rows = [
        {key: float(value) for key, value in row.items()}
        for row in read_metrics(home / "runs/small")
    ]
    for row in rows:
        for part in ("train", "test"):
            total = row[f"{part}_mse"] + row[f"{part}_kl"]
            assert row[f"{part}_loss"] == pytest.approx(total, abs=1e-3)
    assert rows[1]["test_loss"] < rows[0]["test_loss"]


def test_json_of_a_training_is_all_of_stdout(use: Use, wine: Path) -> None:
    found = json.loads(use(*WINE, "--epochs", 2, "--name", "j", "--json").out)
    assert found["run"] == "runs/j"
    expected = [
        {key: float(value) for key, value in row.items()} for row in read_metrics(wine / "runs/j")
    ]
    assert found["epochs"] == expected
    assert {type(row["epoch"]) for row in found["epochs"]} == {int}


# ------------------------------------------------------------------ what repeats


def test_the_config_of_a_run_repeats_it_bit_for_bit(home: Path, repetition: Any) -> None:
    old, new = home / "runs" / "small", repetition.run
    for name in ("config.toml", "reconstructions.png", "samples.png"):
        assert (old / name).read_bytes() == (new / name).read_bytes(), name
    lines = [
        [line.rpartition(b",")[0] for line in (run / "metrics.csv").read_bytes().splitlines()]
        for run in (old, new)
    ]
    assert lines[0] == lines[1], "all columns but the last are equal"
    assert list(read_metrics(old)[0])[-1] == "seconds"
    one, other = read_tensors(old), read_tensors(new)
    assert one.keys() == other.keys()
    assert any(name.startswith("state.model.") for name in one)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_another_seed_gives_other_weights(use: Use, wine: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        use(*WINE, "--epochs", 1, "--seed", seed, "--name", name, "-q")
    one, other = read_tensors(wine / "runs/a"), read_tensors(wine / "runs/b")
    weights = [name for name in one if name.startswith("state.model.") and name.endswith("weight")]
    assert weights
    assert not any(torch.equal(one[name], other[name]) for name in weights)


# -------------------------------------------------------------------- settings


def test_flags_override_set_which_overrides_the_file_and_the_defaults(use: Use, wine: Path) -> None:
    (wine / "mine.toml").write_text(
        "[data]\nlimit = 99\n[training]\nepochs = 9\nseed = 9\nbatch_size = 64\n"
        "[model]\nhidden = [9, 9]\nlatent_dim = 4\n"
    )
    use(
        *(*WINE, "--config", "mine.toml", "--name", "p", "-q"),
        *("--set", "training.epochs=8", "--set", "training.seed=8", "--set", "data.limit=140"),
        *("--epochs", 1, "--hidden", 32, "--hidden", 16),
    )
    settings = read_settings(wine / "runs/p")
    assert settings.training.epochs == 1, "a flag overrides --set and the file"
    assert settings.training.seed == 8, "--set overrides the file"
    assert settings.data.limit == 140, "--set overrides the file"
    assert settings.model.hidden == (32, 16), "a flag overrides the file"
    assert settings.training.batch_size == 64, "the file overrides the default"
    assert settings.model.latent_dim == 4
    assert settings.objective.beta == 0.5, "the default of tables"
    assert read_tensors(wine / "runs/p")["kl_by_dim"].shape == (4,)


def test_a_flag_that_is_typed_with_its_default_overrides_the_file(use: Use, wine: Path) -> None:
    (wine / "mine.toml").write_text("[model]\nlatent_dim = 4\n")
    use(*WINE, "--config", "mine.toml", "--latent-dim", 20, "--epochs", 1, "--name", "p", "-q")
    assert read_tensors(wine / "runs/p")["kl_by_dim"].shape == (20,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[training]\nepoch = 3", "training.epochs"),
        (b"[trainin]\nepochs = 3", "training"),
        (b"epoch = 3", "epoch"),
        (b"training = 3", "training"),
        (b"[training]\nepochs = '3'", "training.epochs"),
        (b"[training]\nepochs = true", "training.epochs"),
        (b"[training]\nepochs = 0", "training.epochs"),
        (b"[objective]\nbeta = nan", "objective.beta"),
        (b"[training]\nepochs = 1979-05-27", "training.epochs"),
        (b"[training\nepochs = 3", "not TOML"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "not TOML"),
        (b'["a\\u001b\\n"]\nb = 1', "not a setting"),
    ],
)
def test_a_bad_config_file_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, refused: Refused, content: bytes, reason: str
) -> None:
    (tmp_path / "odd.toml").write_bytes(content)
    message = refused("train", "--config", "odd.toml")
    assert "odd.toml" in message
    assert reason in message


def test_a_config_file_that_cannot_be_read_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "folder.toml").mkdir()
    assert "cannot read config folder.toml: " in refused("train", "--config", "folder.toml")
    assert "missing.toml: no such file or" in refused("train", "--config", "missing.toml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("latent_dim", "write KEY=VALUE"),
        ("=", "write KEY=VALUE"),
        ("model=3", "model.network = 3: must be"),
        ("model.latent_dims=3", "model.latent_dim"),
        ("modle.latent_dim=3", "model"),
        ("model.latent_dim='3'", "integer"),
        ("model.latent_dim=x\x1b[31m", "integer"),
        ("objective.beta=-1", "0"),
    ],
)
def test_a_bad_assignment_is_refused_and_shown_as_it_was_typed(
    refused: Refused, text: str, reason: str
) -> None:
    message = refused("train", "--set", text)
    shown = text.replace("\x1b", r"\x1b")
    assert f"--set {shown}" in message
    assert reason in message


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/b", "letters"),
        ("../up", "letters"),
        ("..", "letters"),
        (".hidden", "letters"),
        ("", "this is empty"),
        ("a\n", "letters"),
        ("a b", "letters"),
        ("a" * 101, "up to 100 characters"),
        ("wine", "another --name"),
    ],
)
def test_a_bad_name_is_refused(wine: Path, refused: Refused, name: str, reason: str) -> None:
    assert reason in refused(*WINE, "--name", name)


# ------------------------------------------------------------------------ data


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--data", "in/a.png"], "a.png is one picture: name the folder in which it lies"),
        (["--data", "notes.txt"], "is no folder, and no file that can be read: .npy"),
        (["--data", "photso/"], "no such folder, file or data set; did you mean photos?"),
        (["--data", "photso", "--image-size", "32"], "did you mean photos?"),
        (
            ["--data", "fashion-mnist", "--image-size", "32"],
            "pictures, not fashion-mnist",
        ),
        (["--data", "photos"], "photos can be read; the first: "),
        (["--data", "empty"], "empty: looked for .png"),
        (["--data", "o.npy"], "o.npy: it holds Python objects, which are never read"),
        (["--data", "short.npy"], "short.npy: it is cut short"),
        (["--data", "one.npy"], "one has 1 item: add others"),
        (["--data", "missing.csv"], "missing.csv: no such folder, file or data set"),
        (["--data", "rows.csv", "--model", "conv"], "not vectors: try mlp"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused_with_the_reason(
    tmp_path: Path, refused: Refused, words: list[str], reason: str
) -> None:
    (tmp_path / "in").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "in/a.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/x.png").write_text("no picture")
    (tmp_path / "rows.csv").write_text("".join(f"{n}.5,{n * n}.5\n" for n in range(40)))
    np.save(tmp_path / "o.npy", np.array([None, {}]), allow_pickle=True)
    np.save(tmp_path / "one.npy", np.zeros((1, 3)))
    whole = (tmp_path / "one.npy").read_bytes()
    (tmp_path / "short.npy").write_bytes(whole[:-9])
    assert reason in refused("train", *words)


# -------------------------------------------------------------------- failures


def test_a_full_disk_at_the_start_leaves_the_name_free(
    wine: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in refused(*WINE, "--name", "next", "-q", code=1)


# ---------------------------------------------------------------------- resume


def test_a_finished_run_is_resumed_only_with_more_epochs(use: Use, wine: Path) -> None:
    use(*WINE, "--epochs", 2, "--name", "w", "-q")
    expected = "run w is finished: raise --epochs to go on\n"
    assert use("train", "--resume", "w") == (expected, "")
    use("train", "--resume", "--epochs", 3, "-q")
    assert [row["epoch"] for row in read_metrics(wine / "runs/w")] == ["1", "2", "3"]


def test_a_folder_that_cannot_be_written_is_said_before_a_run_goes_on(
    refused: Refused, wine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    before = {path: path.read_bytes() for path in (wine / "runs/wine").iterdir()}
    monkeypatch.setattr(Path, "touch", refuse)
    line = refused("train", "--resume", "wine", "--epochs", 9, code=1)
    assert line == "cannot write into runs/wine: Read-only file system"
    assert before == {path: path.read_bytes() for path in (wine / "runs/wine").iterdir()}


def test_a_run_to_resume_that_does_not_exist_is_refused(here: Path, refused: Refused) -> None:
    assert refused("train", "--resume", "other") == "no run other: there is small"


def test_more_pseudo_inputs_than_training_items_are_refused(refused: Refused) -> None:
    line = refused("train", "--prior", "vamp", "--limit", 64)
    assert line.startswith("--prior vamp with 500 pseudo-inputs, which start as training items")
    assert line.endswith("of which there are 64: --set prior.components=64 or fewer")
