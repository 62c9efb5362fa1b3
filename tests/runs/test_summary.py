"""What is known about a run without its weights."""

import json
import os
from pathlib import Path

import pytest
import torch

from vae_cli.runs.checkpoint import (
    Checkpoint,
    load_checkpoint,
    read_weights_digest,
    save_checkpoint,
)
from vae_cli.runs.directory import Run, create_run, locked
from vae_cli.runs.summary import Figure, summarize_run
from vae_cli.settings import merge, to_dict

METRICS = "epoch,test_kl,test_nll,test_loss,active_dims\n1,2.0,9.5,11.5,3\n2,3.0,8.0,11.0,4\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that stopped after three epochs, of which the second was the best."""
    run = create_run(merge(("", {"objective": {"beta": 2}})), "run", tmp_path)
    run.metrics_file.write_text(METRICS + "3,3.5,9.0,12.5,5\n")
    return run


def test_the_figures_are_those_of_the_best_epoch_under_the_names_in_the_file(run: Run) -> None:
    summary = summarize_run(run)
    expected = {"test_kl": 3.0, "test_nll": 8.0, "test_loss": 11.0, "active_dims": 4}
    assert summary.figures == expected
    assert (summary.epochs, summary.state) == (3, "stopped")


def test_the_best_epoch_is_the_one_that_the_settings_choose(run: Run) -> None:
    run.metrics_file.write_text(
        "epoch,train_loss,validation_loss,validation_elbo\n1,9,3.5,-4\n2,8,3.0,-5\n"
    )
    by_loss = {"validation_loss": 3.0, "validation_elbo": -5}
    assert summarize_run(run).figures == by_loss
    run.config_file.write_text('[training]\nbest = "elbo"\n')
    assert summarize_run(run).figures == {"validation_loss": 3.5, "validation_elbo": -4}


def test_a_run_with_its_previews_is_finished_and_a_locked_one_is_running(run: Run) -> None:
    with locked(run):
        assert summarize_run(run).state == "running"
    assert summarize_run(run).state == "stopped"
    for path in (run.best, run.previews(".png")[-1]):
        path.touch()
    assert summarize_run(run).state == "finished"


def test_the_settings_are_those_with_an_effect_and_those_of_another_version(run: Run) -> None:
    lines = (
        "[objective]",
        "beta = 2.0",
        "delta = [1, 2]",
        "samples = 9",
        "[prior]",
        "name = 'new'",
    )
    run.config_file.write_text("\n".join([*lines, "components = 3", ""]))
    settings = summarize_run(run).settings
    assert settings["objective.beta"] == 2.0
    assert settings["objective.delta"] == (1, 2)
    assert settings["model.latent_dim"] == 20, "what is missing is the default"
    assert settings["prior.components"] == 3, "nobody knows what a prior of another version has"
    chosen = {**to_dict(merge()), "prior": {}}
    known = {f"{section}.{name}" for section, table in chosen.items() for name in table}
    assert known <= settings.keys()
    assert "objective.samples" not in settings


def save_weights(run: Run, value: float) -> str:
    """Write a checkpoint with one weight, and return the digest of its weights."""
    tensors = {"state.model.w": torch.full((2, 3), value), "state.step": torch.ones(())}
    save_checkpoint(run.best, Checkpoint(tensors, {}))
    return load_checkpoint(run.best).weights_digest


def test_the_figures_of_an_evaluation_are_shown_for_its_weights_only(run: Run) -> None:
    figures = {"nll": {"value": 228.5, "error": 0.15, "samples": 5000}, "mig": {"value": 1}}
    content = {"figures": figures, "seed": 0, "weights": save_weights(run, 1.0)}
    (run.path / "evaluation.json").write_text(json.dumps(content))
    summary = summarize_run(run)
    assert summary.evaluation == {"nll": Figure(228.5, 0.15), "mig": Figure(1, None)}
    assert summary.figures["nll"] == 228.5
    assert not summary.has_old_evaluation
    save_weights(run, 2.0)
    summary = summarize_run(run)
    assert summary.evaluation == {}
    assert summary.has_old_evaluation
    assert save_weights(run, 1.0) == content["weights"], "they are those of the weights alone"
    del content["weights"]  # of an earlier version, which does not say whose figures they are
    (run.path / "evaluation.json").write_text(json.dumps(content))
    assert summarize_run(run).has_old_evaluation


def test_the_digest_of_weights_is_the_same_from_a_checkpoint_that_does_not_say_it(run: Run) -> None:
    digest = save_weights(run, 1.0)
    assert read_weights_digest(run.best) == digest
    content = run.best.read_bytes()
    older = content.replace(b'"weights":', b'"xeights":')
    run.best.write_bytes(older)
    assert read_weights_digest(run.best) == digest
    for torn in (b"", content[:5], content[:100], b"\xff" * 100, b"\2" + b"\0" * 7 + b"[]"):
        run.best.write_bytes(torn)
        assert read_weights_digest(run.best) == ""


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", "null", '{"figures": []}', '{"figures": {"a": 3}}', "[" * 100_000),
        '{"figures": {"a": {"value": NaN}, "b": {"value": true}, "c": {}}}',
        '{"figures": {"a": {"value": null, "reason": "no factors"}}}',
    ],
)
def test_an_evaluation_without_finite_figures_has_none(run: Run, content: str) -> None:
    (run.path / "evaluation.json").write_text(content)
    assert summarize_run(run).evaluation == {}


@pytest.mark.parametrize(
    "content",
    ["", "a", "a,b\n\n1", 'test_loss\n"', "test_loss\nnan\n", "train_loss\n3,4\n", "\0"],
)
def test_metrics_that_cannot_be_read_are_no_figures(run: Run, content: str) -> None:
    run.metrics_file.write_text(content)
    assert summarize_run(run).figures == {}


@pytest.mark.parametrize("content", [b"\xff", b"x", b"[data]\nname = {}\n", b"[data\n"])
def test_settings_that_cannot_be_read_do_no_harm(run: Run, content: bytes) -> None:
    run.config_file.write_bytes(content)
    json.dumps(summarize_run(run).settings, allow_nan=False)


def test_values_that_json_lacks_are_texts(run: Run) -> None:
    run.config_file.write_text("[data]\na = inf\nb = 2020-01-01\nc = {d = 1}\ne = [nan]\n")
    json.dumps(summarize_run(run).settings, allow_nan=False)


def test_a_pipe_is_not_read(run: Run) -> None:
    run.metrics_file.unlink()
    os.mkfifo(run.metrics_file)
    assert summarize_run(run).epochs == 0


def test_weights_alone_are_a_run_without_settings(tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").touch()
    summary = summarize_run(Run(tmp_path))
    assert (summary.settings, summary.figures, summary.epochs) == ({}, {}, 0)
