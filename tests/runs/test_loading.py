"""Loading the model of a run, and loading a run to resume it."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.errors import UsageError, VAEError
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.facts import parse_facts
from vae_cli.runs.loading import load_model
from vae_cli.runs.recorder import RunRecorder
from vae_cli.runs.start import load_for_resume


@pytest.fixture
def saved(
    make_recorder: Callable[..., RunRecorder],
    finish_epoch: Callable[[RunRecorder, float], None],
) -> RunRecorder:
    """A run that was saved after its first epoch."""
    recorder = make_recorder()
    finish_epoch(recorder, 4.0)
    recorder.save()
    return recorder


def test_a_loaded_model_has_the_weights_and_facts_that_were_saved(saved: RunRecorder) -> None:
    loaded = load_model(saved.run)
    assert loaded.facts.data == saved.facts.data
    assert loaded.facts.config == saved.facts.config
    assert loaded.facts.epoch == 1
    assert loaded.kl_by_dim.tolist() == [3.0, 0.0]
    weights = saved.state.model.state_dict()
    assert loaded.model.state_dict().keys() == weights.keys()
    for name, tensor in loaded.model.state_dict().items():
        assert tensor.equal(weights[name]), name


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("state.model.decoder.project.bias", torch.full((16,), math.nan)),
        ("kl_by_dim", torch.tensor([math.inf, 0.0])),
    ],
)
def test_a_model_with_numbers_that_are_not_finite_is_refused(
    saved: RunRecorder, name: str, tensor: torch.Tensor
) -> None:
    good = load_checkpoint(saved.run.best)
    save_checkpoint(saved.run.best, Checkpoint(good.tensors | {name: tensor}, good.facts))
    with pytest.raises(VAEError, match="are not finite numbers"):
        load_model(saved.run)


def test_a_checkpoint_that_does_not_name_its_data_is_of_fashion_mnist(
    saved: RunRecorder,
) -> None:
    facts = load_checkpoint(saved.run.last).facts
    assert parse_facts(facts, "it").data == saved.facts.data
    del facts["data"]
    assert parse_facts(facts, "it").data == FashionMNIST.spec


def test_a_resumed_run_may_have_more_epochs_another_device_and_another_save_interval(
    saved: RunRecorder,
) -> None:
    may_change = {"epochs": 99, "device": "cuda", "save_every": "5"}
    state, config = load_for_resume(saved.run, [("command line", {"training": may_change})])
    assert state.facts.epoch == 1
    tensors = load_checkpoint(saved.run.last).group("state")
    assert state.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert state.tensors[name].equal(tensor), name
    assert config.training.epochs == 99
    assert config.training.device == "cuda"
    assert config.training.save_every == "5"


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"training": {"epochs": 1}}, "run run has 20; it can only be raised"),
        ({"model": {"latent_dim": 4}}, "model.latent_dim is 2, not 4"),
        ({"data": {"limit": 5}}, "data.limit is 0, not 5"),
    ],
)
def test_a_resumed_run_with_other_settings_is_refused(
    saved: RunRecorder, tables: dict[str, dict[str, object]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load_for_resume(saved.run, [("command line", tables)])


def test_data_may_be_in_another_place_if_their_contents_can_be_compared(
    saved: RunRecorder,
) -> None:
    typed = [("command line", {"data": {"name": "shapes"}})]
    assert load_for_resume(saved.run, typed)[1].data.name == "shapes"
    older = load_checkpoint(saved.run.last)
    del older.facts["data_digest"]
    save_checkpoint(saved.run.last, older)
    with pytest.raises(UsageError, match=r"data\.name is fashion-mnist, not shapes"):
        load_for_resume(saved.run, typed)


def test_a_run_on_images_does_not_go_on_with_a_table(saved: RunRecorder, tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"x\.csv is a table, but spots is of images"):
        load_for_resume(saved.run, [("command line", {"data": {"name": str(table)}})])


def test_a_resumed_run_whose_weights_do_not_fit_is_refused(saved: RunRecorder) -> None:
    good = load_checkpoint(saved.run.last)
    misfit = {"state.model.decoder.project.bias": torch.zeros(15)}
    save_checkpoint(saved.run.last, Checkpoint(good.tensors | misfit, good.facts))
    with pytest.raises(VAEError, match="float32 of 15, but float32 of 16 fits its config"):
        load_for_resume(saved.run, [])


def test_a_run_whose_best_weights_are_lost_after_its_last_epoch_needs_another_epoch(
    train_small: Callable[..., Any], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    train_small(run)
    run.best.unlink()
    with pytest.raises(VAEError, match=r"no epoch follows.*: try training\.epochs=4$"):
        load_for_resume(run, [])
    with pytest.warns(UserWarning, match="take their place"):
        load_for_resume(run, [("command line", {"training": {"epochs": 4}})])


def test_a_run_whose_best_weights_are_lost_goes_on_and_the_next_are_the_best(
    saved: RunRecorder, finish_epoch: Callable[[RunRecorder, float], None]
) -> None:
    good = load_checkpoint(saved.run.best)
    for lose in (
        saved.run.best.unlink,
        lambda: saved.run.best.write_bytes(b"torn"),
        lambda: save_checkpoint(saved.run.best, Checkpoint({}, good.facts)),
    ):
        lose()
        with pytest.warns(UserWarning, match=r"best\.safetensors .*take their place"):
            state, _ = load_for_resume(saved.run, [])
        saved.restore(state)
        finish_epoch(saved, 99.0)
        saved.save()
        assert load_model(saved.run).facts.epoch == saved.state.epoch
