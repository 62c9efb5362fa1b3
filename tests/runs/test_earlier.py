"""Finished runs that earlier versions have left are used as those versions used them.

The runs are in `tests/earlier`, with what their own version computed with them.
"""

import json
import shutil
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vae_cli import load
from vae_cli.cli._app import main
from vae_cli.runs.checkpoint import SCHEMA, load_checkpoint, read_raw_facts, read_weights_digest
from vae_cli.runs.directory import Run
from vae_cli.runs.resolve import resolve
from vae_cli.runs.start import load_for_resume
from vae_cli.runs.summary import read_metrics, summarize_run
from vae_cli.runs.train import make_recorder

EARLIER = Path(__file__).parents[1] / "earlier"
DATA = {"images": EARLIER / "dots.npy", "table": EARLIER / "rows.csv"}
SCHEMAS = {"images": 4, "table": 3}
LATENTS = np.array([[0, 0], [1, -1], [-2, 0.5]], np.float32)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
SAMPLES = 5000  # with which figures of other random numbers hardly differ
SAMPLED = 0.03  # nats


class Earlier(NamedTuple):
    """A copy of a run of an earlier version, its data, and what that version computed with it."""

    run: Run
    data: Path
    known: dict[str, Any]


@pytest.fixture(params=SCHEMAS)
def earlier(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Earlier:
    """A run of an earlier version, in the current folder."""
    name = request.param
    shutil.copytree(EARLIER / name, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    known = json.loads((EARLIER / "values.json").read_text())[name]
    assert read_raw_facts(EARLIER / name / "best.safetensors")["schema"] == SCHEMAS[name]
    return Earlier(Run(Path("runs", name)), DATA[name], known)


@pytest.fixture
def do(earlier: Earlier, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run words with the data of the run, which are not where they were; returns the output."""

    def run(*words: object) -> str:
        assert main([*map(str, words), "--data", str(earlier.data), "-q"]) == 0, capfd.readouterr()
        return capfd.readouterr().out

    return run


def test_its_model_encodes_and_decodes_as_it_did(earlier: Earlier) -> None:
    model = load(earlier.run.name, "cpu")
    items = (
        np.load(earlier.data)
        if earlier.run.name == "images"
        else np.loadtxt(earlier.data, delimiter=",", skiprows=1)
    )
    posterior = model.encode(items[:3])
    np.testing.assert_allclose(posterior.mean, earlier.known["mean"], **CLOSE)
    np.testing.assert_allclose(posterior.log_variance, earlier.known["log_variance"], **CLOSE)
    decoded = model.decode(LATENTS).reshape(3, -1)[:, :6]
    np.testing.assert_allclose(decoded, earlier.known["decoded"], **CLOSE)
    assert model.kl_by_dim is not None
    np.testing.assert_allclose(model.kl_by_dim, earlier.known["kl"], **CLOSE)


def test_it_is_sampled_and_listed(earlier: Earlier, capfd: pytest.CaptureFixture[str]) -> None:
    words = ("sample", "-n", "3", "--seed", "0", "--run", earlier.run.name, "-q")
    assert main(list(words)) == 0
    summary = summarize_run(earlier.run)
    assert (summary.state, summary.epochs) == ("finished", 2)
    assert bool(summary.evaluation) == (earlier.run.name == "images"), "an evaluation is kept"
    assert not summary.has_old_evaluation


def test_it_is_evaluated_with_the_same_figures(earlier: Earlier, do: Callable[..., str]) -> None:
    found = json.loads(do("evaluate", "--run", earlier.run.name, "--samples", SAMPLES, "--json"))
    figures = {name: figure["value"] for name, figure in found["figures"].items()}
    assert figures.keys() == earlier.known["figures"].keys()
    for name in ("mse", "kl"):  # which need no random numbers
        assert figures[name] == pytest.approx(earlier.known["figures"][name], rel=1e-4), name
    model = load(earlier.run.name, "cpu")
    item = torch.zeros(1, *model.spec.shape)
    units = model.model.codec.log_abs_det(item).item()  # rows were standardized
    for name, sign in (("elbo", 1), ("log_likelihood", 1), ("distortion", -1)):
        expected = earlier.known["figures"][name] + sign * units
        assert figures[name] == pytest.approx(expected, abs=SAMPLED), name


def test_it_goes_on_where_it_stopped_and_its_best_weights_are_alone_then(
    earlier: Earlier, do: Callable[..., str]
) -> None:
    before = read_metrics(earlier.run)
    digest = read_weights_digest(earlier.run.best)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        do("train", "--resume", earlier.run.name, "--epochs", 3)
    *first, last = read_metrics(earlier.run)
    assert first == before
    assert last["test_loss"] < before[-1]["test_loss"], "it goes on from what was learned"
    assert read_weights_digest(earlier.run.best) != digest
    for path in (earlier.run.best, earlier.run.last):
        assert read_raw_facts(path)["schema"] == SCHEMA
    best, all_of_it = load_checkpoint(earlier.run.best), load_checkpoint(earlier.run.last)
    assert best.group("state").keys() == {f"model.{name}" for name in best.group("state.model")}
    assert best.group("state").keys() < all_of_it.group("state").keys()


def test_its_whole_state_goes_on_under_the_names_of_today(earlier: Earlier) -> None:
    written, read = load_file(earlier.run.last), load_checkpoint(earlier.run.last).tensors
    names = {
        name: name.replace("state.optimizer.", "state.players.model.").replace(
            "state.model.columns.", "state.model.codec.standard."
        )
        for name in written
    }
    assert set(names.values()) == set(read)
    assert sum(".players.model." in name for name in read) > 10
    assert all(written[name].equal(read[now]) for name, now in names.items())


def test_a_training_starts_from_its_weights(earlier: Earlier, do: Callable[..., str]) -> None:
    words = ("--epochs", 1, "--seed", 1, "--name", "started", "--precision", "float32")
    do("train", "--start-from", earlier.run.name, *words)
    (row,) = read_metrics(Run(Path("runs/started")))
    assert row["test_loss"] == pytest.approx(earlier.known["started"], abs=1.0)  # of 8 or 6 items


@pytest.mark.filterwarnings("ignore:these columns never change")
def test_its_best_weights_follow_data_that_have_moved_and_stay_the_same(earlier: Earlier) -> None:
    run, cpu = earlier.run, torch.device("cpu")
    digest, evaluation = read_weights_digest(run.best), summarize_run(run).evaluation
    saved, config = load_for_resume(run, [("test", {"data": {"name": str(earlier.data)}})])
    resolved = resolve(config, cpu, like=saved.facts.data)
    recorder = make_recorder(run, resolved, resolved.initial_state(), ExitStack())
    recorder.restore(saved)
    recorder.follow_data()
    best = load_checkpoint(run.best)
    assert read_raw_facts(run.best)["schema"] == SCHEMA
    assert best.facts["config"]["data"]["name"] == str(earlier.data)
    assert best.weights_digest == digest
    assert summarize_run(run).evaluation == evaluation
    assert best.group("state").keys() == {f"model.{name}" for name in best.group("state.model")}
