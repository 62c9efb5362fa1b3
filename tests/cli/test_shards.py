"""A data set in shards, in the real app: a training streams it, and every command works on it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from shards import PATTERN, write_photos
from support import Refused, Use, call

from vae_cli.data import sharded

SMALL = ("--model", "mlp", "--hidden", "8", "--latent-dim", 2, "--batch-size", 32, "--seed", 3)


def metrics_of(run: Path) -> list[str]:
    """The metrics of a run without their seconds."""
    return [line.rpartition(",")[0] for line in (run / "metrics.csv").read_text().splitlines()]


def test_a_training_streams_shards_and_other_commands_have_what_is_held_out(
    here: Path, use: Use
) -> None:
    write_photos(here)
    shown = json.loads(use("data", PATTERN, "--json").out)
    assert shown["train"] + shown["test"] == 225
    assert [part["name"] for part in shown["classes"]] == ["cat", "dog"]
    assert sum(part["train"] for part in shown["classes"]) == shown["train"]
    use("train", "--data", PATTERN, "--epochs", 1, "--name", "one", *SMALL)
    scored = use("score", "--run", "one", "--json")
    assert "photos-" in scored.out
    use("reconstruct", "--run", "one")
    assert json.loads(use("embed", "--run", "one", "--json").out)["items"] == 225


def test_shards_that_a_shell_has_made_of_a_pattern_are_explained(
    here: Path, refused: Refused
) -> None:
    write_photos(here)
    names = [f"photos-{number:03}.tar" for number in range(3)]
    line = refused("train", "--data", *names)
    assert f"{names[2]}: put a pattern in quotation marks, as in 'photos-*.tar'" in line
    line = refused("reconstruct", "photos-*.tar", "--run", "small")
    assert "photos-*.tar is in shards: name it with --data" in line


def test_no_output_replaces_a_shard(here: Path, refused: Refused) -> None:
    for number in range(2):
        np.save(here / f"x-{number}.npy", np.zeros((8, 28, 28), np.uint8))
    line = refused("embed", "x-*.npy", "--run", "small", "-o", "x-1.npy", "--force")
    assert "x-1.npy would overwrite what is read" in line


def test_settings_of_shards_are_refused_for_other_data(refused: Refused) -> None:
    line = refused("train", "--set", "data.shuffle_window=100")
    assert "data.shuffle_window is for data in shards, not fashion-mnist" in line


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_of_many_items_a_sample_is_held_out_and_the_run_knows_its_data(
    here: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharded, "MAX_DECODED", 12)
    write_photos(here)
    words = ("--set", "data.validation=0.2", "--epochs", 1, "--name", "one")
    trained = use("train", "--data", PATTERN, *words, *SMALL)
    assert re.search(r"of \d\d items that .* sample of 12 is used", trained.err)
    evaluated = use("evaluate", "--run", "one", "--json")
    assert "have changed" not in evaluated.err
    assert json.loads(evaluated.out)["items"] == 12


@pytest.mark.slow
def test_settings_that_look_at_the_training_set_take_a_streamed_one(here: Path, use: Use) -> None:
    write_photos(here)
    for number, words in enumerate(
        [
            ("--prior", "vamp", "--set", "prior.components=20"),
            ("--set", "model.output_bias=data", "--set", "data.validation=0.2"),
            ("--likelihood", "binarized", "--limit", 100),
            ("--set", "data.shuffle_window=1", "--set", "training.accumulate=4"),
            ("--precision", "auto", "--dry-run"),
        ]
    ):
        use("train", "--data", PATTERN, "--epochs", 1, "--name", f"r{number}", *SMALL, *words)
    use("evaluate", "--run", "r1")
    use("sample", "--run", "r1", "--sampler", "gmm")


@pytest.mark.slow
def test_1_2_and_4_processes_have_the_same_losses_on_shards(tmp_path: Path) -> None:
    write_photos(tmp_path)
    found = []
    for count in (1, 2, 4):
        words = ("--processes", count, "--data", PATTERN, "--epochs", 2, "--name", f"of{count}")
        done = call("train", *words, *SMALL, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        rows = metrics_of(tmp_path / f"runs/of{count}")[1:]
        found.append([float(value) for row in rows for value in row.split(",")])
    assert found[1] == pytest.approx(found[0], rel=1e-3)
    assert found[2] == pytest.approx(found[0], rel=1e-3)


def test_a_shard_that_is_gone_is_one_line(here: Path, refused: Refused) -> None:
    write_photos(here)
    (here / "photos-003.tar").unlink()
    assert "photos-003.tar" in refused("train", "--data", PATTERN, *SMALL)
