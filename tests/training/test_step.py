"""The traced training step against the plain one."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from models import WrappedVAE, spec_of
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from vae_cli.data.batch import Batch
from vae_cli.model import Inference
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge
from vae_cli.training import EpochReport, TrainState, loss_and_gradients, trace
from vae_cli.training.step import remove_views

MakeImages = Callable[..., Tensor]
MakeState = Callable[..., TrainState]
Learn = Callable[..., list[EpochReport]]
WARMUP = torch.tensor(0.7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_traced_step_has_the_same_bits_as_the_plain_step(
    dtype: torch.dtype, make_state: MakeState, make_images: MakeImages
) -> None:
    plain, quick = make_state(), make_state()
    plain.dtype = quick.dtype = dtype
    batches = [Batch(x) for x in (make_images(48) / 255.0).split(16)]
    traced = trace(quick, 48, batches[0])
    assert not isinstance(traced, partial)  # which would be the plain function
    for batch in batches:
        (loss, gradients), (expected, references) = (
            traced(batch, WARMUP),
            loss_and_gradients(plain, 48, batch, WARMUP),
        )
        assert loss.losses["model"].equal(expected.losses["model"])
        assert list(loss.terms) == list(expected.terms)
        for name, term in loss.terms.items():
            assert term.equal(expected.terms[name]), name
        assert all(map(torch.equal, gradients["model"], references["model"]))
        for state in (plain, quick):
            optimizer = state.players["model"].optimizer
            optimizer.step(references["model"], 0.1, expected.losses["model"])
    assert plain.noise.state().equal(quick.noise.state())


def test_the_traced_step_of_a_conv_is_the_plain_step() -> None:
    settings = merge(("", {"model": {"network": "conv", "latent_dim": 3}}))
    cpu = torch.device("cpu")
    plain, quick = (
        choose(settings, spec_of((1, 20, 20))).build_state(spec_of((1, 20, 20)), cpu)
        for _ in range(2)
    )
    batch = Batch(torch.rand(8, 1, 20, 20))
    traced = trace(quick, 8, batch)
    assert not isinstance(traced, partial)
    (loss, gradients), (expected, references) = (
        traced(batch, WARMUP),
        loss_and_gradients(plain, 8, batch, WARMUP),
    )
    assert loss.losses["model"].equal(expected.losses["model"])
    for gradient, reference in zip(gradients["model"], references["model"], strict=True):
        torch.testing.assert_close(gradient, reference)


class UntraceableVAE(WrappedVAE):
    """A model whose Python code depends on the values of the images."""

    def infer(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        if batch.x.mean() > 2:
            raise AssertionError
        return super().infer(batch, samples, noise)


def test_a_model_that_cannot_be_traced_trains_with_the_plain_step_and_a_warning(
    make_state: MakeState, learn: Learn
) -> None:
    plain, untraceable = make_state(), make_state()
    untraceable.model = UntraceableVAE(untraceable.model)
    with pytest.warns(UserWarning, match="could not be traced"):
        reports = learn(untraceable)
    assert reports[-1].test.loss == learn(plain)[-1].test.loss


def test_the_random_numbers_are_not_used_up_by_a_trace(
    make_state: MakeState, make_images: MakeImages
) -> None:
    state = make_state()
    before = state.noise.state()
    trace(state, 16, Batch(make_images(16) / 255.0))
    assert state.noise.state().equal(before)


def test_a_trace_has_no_operations_that_return_their_input() -> None:
    x = torch.randn(8, 6)
    calls = make_fx(lambda x: x.detach().view(8, -1).view(4, -1).expand(4, -1).relu())(x)
    expected = calls(x)
    remove_views(calls)
    names = [node.name for node in calls.graph.nodes if node.op == "call_function"]
    assert names == ["view_1", "relu"]
    assert calls(x).equal(expected)
