"""The training state: what it holds, and how it is restored."""

from collections.abc import Callable

import pytest
import torch

from vae_cli.training import EpochReport, TrainState

MakeState = Callable[..., TrainState]
Learn = Callable[..., list[EpochReport]]


def test_a_state_holds_the_moments_of_its_own_weights(make_state: MakeState, learn: Learn) -> None:
    state = make_state()
    learn(state, epochs=1)
    early = {name: tensor.clone() for name, tensor in state.tensors().items()}
    learn(state, epochs=2)
    late = state.tensors()
    names = [name for name, _ in state.model.named_parameters()]
    for name in names:
        assert not early[f"model.{name}"].equal(late[f"model.{name}"])
        for moment in ("m", "v"):
            key = f"players.model.{name}.{moment}"
            assert early[key].shape == early[f"model.{name}"].shape
            assert not early[key].equal(late[key])
    assert early[f"players.model.{names[0]}.t"] == 5
    assert late[f"players.model.{names[0]}.t"] == 10


def test_a_restored_state_trains_as_it_did_the_first_time(
    make_state: MakeState, learn: Learn
) -> None:
    state = make_state()
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    position = state.position()
    first = learn(state)[-1].test.loss
    assert state.position() == {"step": 15, "epoch": 3, "done": 0, "count": 0}
    state.restore(before, position)
    assert learn(state)[-1].test.loss == first


def test_tensors_that_are_missing_or_have_another_shape_are_refused(make_state: MakeState) -> None:
    state = make_state()
    name = "model.decoder.project.weight"
    tensors = dict(state.tensors())
    with pytest.raises(RuntimeError):
        state.restore(tensors | {name: torch.zeros(2, 2)}, state.position())
    del tensors[name]
    with pytest.raises(KeyError, match=name):
        state.restore(tensors, state.position())


def test_a_state_from_another_kind_of_device_goes_on_with_new_random_numbers(
    make_state: MakeState,
) -> None:
    states = []
    for step in (5, 5, 10):
        state = make_state()
        saved = dict(state.tensors()) | {"generator": torch.zeros(16, dtype=torch.uint8)}  # CUDA's
        state.restore(saved, {**state.position(), "step": step})
        states.append(state.noise.state())
    assert states[0].equal(states[1])
    assert not states[0].equal(states[2])
