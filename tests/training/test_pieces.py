"""A batch that is computed in several pieces, one after another, against the same one at once."""

from collections.abc import Callable
from weakref import finalize

import pytest
import torch
from models import make_state, mlp_vae, spec_of
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError
from vae_cli.model import NegativeELBO
from vae_cli.settings import choose, merge
from vae_cli.training import (
    CapturedEpoch,
    Epoch,
    TracedEpoch,
    TrainState,
    loss_and_gradients,
)
from vae_cli.training.world import share_of

CPU, WARMUP, SHAPE = torch.device("cpu"), torch.tensor(0.7), (1, 16, 16)
SETTINGS = [
    {"objective": {"name": "miwae"}, "prior": {"name": "vamp", "components": 3}},
    {"likelihood": {"name": "binarized"}, "model": {"network": "conv"}},
    {"model": {"network": "hierarchical", "levels": 2}, "optimizer": {"ema": 0.9}},
    {"objective": {"name": "dreg"}, "optimizer": {"clip_norm": 0.1}},
]


def new_state(number: int) -> TrainState:
    plan = choose(merge(("", SETTINGS[number])), spec_of(SHAPE))
    return plan.build_state(spec_of(SHAPE), CPU)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.3)], ids=str
)
def test_the_pieces_have_the_losses_gradients_and_noise_of_the_batch(
    dtype: torch.dtype, tolerance: float
) -> None:
    """For pieces of unequal sizes, and for more pieces than items."""
    batch, rounding = Batch(torch.rand(7, *SHAPE)), {"rtol": tolerance, "atol": tolerance}
    for number in range(len(SETTINGS)):
        whole, divided = (new_state(number) for _ in range(2))
        whole.dtype = divided.dtype = dtype
        before = whole.noise.state()
        for pieces in (3, 100):
            for state in (whole, divided):
                state.noise.restore(before)
            share = share_of(7, pieces=pieces)
            expected, references = loss_and_gradients(whole, 70, batch, WARMUP)
            loss, gradients = loss_and_gradients(divided, 70, batch, WARMUP, share=share)
            torch.testing.assert_close(loss.losses, expected.losses, **rounding)
            torch.testing.assert_close(loss.terms, expected.terms, **rounding)
            torch.testing.assert_close(gradients, references, **rounding)
            assert whole.noise.state().equal(divided.noise.state())


@pytest.mark.parametrize("kind", [TracedEpoch, CapturedEpoch])
def test_an_epoch_in_pieces_trains_as_one_at_once(kind: Callable[..., Epoch]) -> None:
    """With an average of the weights, clipping, and a smaller last batch."""
    for number in (2, 3):
        split = InMemory.whole(torch.rand(19, *SHAPE))
        states, metrics = [new_state(number) for _ in range(2)], []
        for state, accumulate in zip(states, (1, 4), strict=True):
            epoch = kind(state, split, 8, accumulate=accumulate)
            metrics.append(epoch.run(torch.randperm(19, generator=order()), *schedules()))
        assert metrics[1].loss == pytest.approx(metrics[0].loss, rel=1e-5)
        for name, mean in metrics[0].terms.items():
            assert metrics[1].terms[name] == pytest.approx(mean, rel=1e-4, abs=1e-5)
        for name, value in states[0].evaluation_weights().items():
            torch.testing.assert_close(states[1].evaluation_weights()[name], value, **CLOSE)


CLOSE = {"rtol": 1e-3, "atol": 2e-4}


def order() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def schedules() -> tuple[Tensor, Tensor]:
    return torch.full((3,), 1e-4), torch.linspace(0.2, 1, 3)


def test_an_objective_that_compares_items_is_refused_at_its_first_step() -> None:
    """Also without a plan that would have refused it before."""
    state = make_state(mlp_vae(SHAPE), NegativeELBO(free_bits=0.5))
    epoch = TracedEpoch(state, InMemory.whole(torch.rand(19, *SHAPE)), 8, accumulate=2)
    with pytest.raises(UsageError, match="compares the items of a batch"):
        epoch.run(torch.arange(19), *schedules())


class Kept:
    """What autograd keeps for the backward pass, and the bytes of all that it has kept at once."""

    now = peak = 0

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        Kept.now += tensor.nbytes
        Kept.peak = max(Kept.peak, Kept.now)
        finalize(self, self.forget, tensor.nbytes)

    @classmethod
    def forget(cls, size: int) -> None:
        cls.now -= size


def test_a_piece_is_freed_before_the_next_one() -> None:
    state, batch, peaks = new_state(2), Batch(torch.rand(64, *SHAPE)), []
    weights = sum(tensor.nbytes for tensor in state.players["model"].parameters.values())
    for pieces in (1, 8):
        Kept.now = Kept.peak = 0
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            loss_and_gradients(state, 64, batch, WARMUP, share=share_of(64, pieces=pieces))
        peaks.append(Kept.peak)
    assert peaks[1] < peaks[0] / 8 + 2 * weights
