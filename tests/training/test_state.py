"""The training state: what it holds, and how it is restored."""

from collections.abc import Callable

import pytest
import torch

from vae_cli.training import EpochReport, TrainState
from vae_cli.training.state import WeightAverage

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


@pytest.mark.parametrize("decay", [0.5, 0.95])
def test_the_average_of_the_weights_is_that_of_a_loop_over_all_of_them(decay: float) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(size, generator=generator) for name, size in (("a", 3), ("b", 5))}
    average = WeightAverage(weights, decay)
    expected = {name: tensor.double() for name, tensor in weights.items()}
    for step in range(1, 31):
        kept = min(decay, (1 + step) / (10 + step))
        for name, tensor in weights.items():
            tensor.add_(torch.randn(tensor.shape, generator=generator))
            expected[name] = kept * expected[name] + (1 - kept) * tensor.double()
        average.update()
    for name, tensor in average.values.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)
    assert average.tensors()["average_t"] == 30
