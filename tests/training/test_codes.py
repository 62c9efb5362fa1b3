"""Trainings of models whose latents are codes."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from models import spec_of
from processes import BATCH, IMAGE, ITEMS, items, losses_of, plan_of, train
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError
from vae_cli.model import Codes, CodesHead
from vae_cli.noise import Noise, Part
from vae_cli.runs.recorder import make_row
from vae_cli.settings import choose, merge
from vae_cli.training import EpochReport, TracedEpoch, TrainState, evaluate, loss_and_gradients
from vae_cli.training.step import train_step
from vae_cli.training.world import ALONE, Share

CPU = torch.device("cpu")
NAMES = ["vq", "rvq", "fsq"]


def start(name: str, network: str) -> tuple[TrainState, InMemory]:
    split = items(ITEMS, IMAGE, 0)
    plan = plan_of(("elbo", name, network, "mse"))
    return plan.build_state(spec_of(IMAGE), CPU, train=split), split


def head_of(state: TrainState) -> CodesHead:
    head = state.model.encoder.head  # type: ignore[union-attr]
    assert isinstance(head, CodesHead)
    return head


@pytest.mark.parametrize("network", ["mlp", "grid"])
@pytest.mark.parametrize("name", NAMES)
def test_codes_stand_for_the_latents_and_cost_as_many_nats_as_there_are(
    name: str, network: str
) -> None:
    state, split = start(name, network)
    head, x = head_of(state), split.items[:5]
    posterior = state.model.posterior(Batch(x))
    assert isinstance(posterior, Codes)
    assert posterior.codes.shape == (5, *head.codes_shape)
    assert posterior.codes.dtype == torch.int64
    assert head.embed(posterior.codes).equal(posterior.mode())
    inference = state.model.infer(Batch(x), 2, Noise(0))
    count = math.prod(head.codes_shape)
    expected = torch.full((5,), count * math.log(head.codebook_size))
    torch.testing.assert_close(inference.kl(), expected)
    z = state.model.prior.sample(3, Noise(0))
    assert z.shape == (3, *head.event_shape)
    assert state.model.decode(z).mean.shape == (3, *IMAGE)


def test_fsq_starts_its_decoder_at_the_mean_and_so_keeps_its_latents_within_their_bounds() -> None:
    for name, is_at_mean in (("fsq", True), ("vq", False)):
        state, split = start(name, "mlp")
        bias = state.model.decoder.project.bias  # type: ignore[union-attr]
        mean = state.model.likelihood.outputs_for(split.items.mean(0))
        assert torch.allclose(bias, mean.flatten(), atol=1e-4) == is_at_mean


@pytest.mark.parametrize("name", NAMES)
def test_a_training_in_pieces_is_that_of_the_whole_batch(name: str) -> None:
    case = ("elbo", name, "mlp", "mse")
    (whole, first), (pieces, second) = train(case), train(case, accumulate=3)
    torch.testing.assert_close(losses_of(second), losses_of(first), rtol=1e-4, atol=1e-4)
    assert whole.noise.state().equal(pieces.noise.state())
    for name_of, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(pieces.model.state_dict()[name_of], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("network", ["mlp", "grid"])
def test_a_codebook_is_resumed_bit_for_bit_and_learns_in_the_traced_step(network: str) -> None:
    def run(state: TrainState, split: InMemory, times: int) -> dict[str, Tensor]:
        epoch = TracedEpoch(state, split, BATCH)
        for _ in range(times):
            epoch.run(torch.arange(ITEMS), torch.full((3,), 1e-3), torch.ones(3))
        return {name: tensor.clone() for name, tensor in state.tensors().items()}

    state, split = start("rvq", network)
    before = state.model.state_dict()["encoder.head.quantizer.codebooks"].clone()
    middle = run(state, split, 1)
    position = state.position()
    expected = run(state, split, 2)
    again, _ = start("rvq", network)
    again.restore(middle, position)
    for name, tensor in run(again, split, 2).items():
        assert tensor.equal(expected[name]), name
    assert not before.equal(expected["model.encoder.head.quantizer.codebooks"])


def test_a_codebook_learns_nothing_from_a_loss_that_is_not_finite() -> None:
    for factor in (1.0, math.inf):
        state, split = start("vq", "mlp")
        before = head_of(state).quantizer.state_dict()
        before = {name: tensor.clone() for name, tensor in before.items()}
        batch = Batch(split.items[:BATCH] * factor)
        train_step(
            state,
            partial(loss_and_gradients, state, ITEMS),
            batch,
            learning_rate=1e-3,
            warmup=torch.tensor(1.0),
        )
        for name, tensor in head_of(state).quantizer.state_dict().items():
            assert tensor.equal(before[name]) == (factor != 1), name


def test_an_item_that_stands_in_where_none_is_left_teaches_a_codebook_nothing() -> None:
    for weight in (1.0, 0.0):
        state, split = start("vq", "mlp")
        share = Share(world=ALONE, items=1, part=Part(0, 1, 1), weight=weight)
        loss, _ = loss_and_gradients(
            state, ITEMS, Batch(split.items[:1]), torch.tensor(1.0), share=share
        )
        assert loss.statistics.keys() == {"counts", "sums", "candidates"}
        assert all((values != 0).any() == bool(weight) for values in loss.statistics.values())


def test_the_table_has_the_codes_in_use_and_their_perplexity() -> None:
    state, split = start("vq", "mlp")
    found = evaluate(state.model, state.objective, split, data_size=ITEMS, seed=0)
    posterior = state.model.posterior(Batch(split.items))
    assert isinstance(posterior, Codes)
    counts = posterior.codes.flatten().bincount(minlength=8).double()
    entropy = torch.distributions.Categorical(counts).entropy().item()
    assert found.codes is not None
    assert found.active is None
    assert str(found.codes) == f"{int((counts > 0).sum())}/8"
    assert found.codes.perplexity == pytest.approx(math.exp(entropy))
    row = make_row(EpochReport(1, found, found, 1.0), "test")
    assert row["codes_used"] == found.codes.used
    assert row["perplexity"] == pytest.approx(found.codes.perplexity, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"posterior": {"name": "vq"}, "objective": {"name": "iwae"}}, "iwae.* is not defined for"),
        ({"posterior": {"name": "fsq"}, "objective": {"name": "dreg"}}, "which takes elbo"),
        ({"posterior": {"name": "rvq"}, "objective": {"name": "tc"}}, "is not defined for"),
        ({"posterior": {"name": "vq"}, "prior": {"name": "mog"}}, "it takes uniform"),
        ({"posterior": {"name": "vq", "code_dim": 3}}, "such as .*model.latent_dim=21"),
        ({"posterior": {"name": "fsq"}, "model": {"latent_dim": 6}}, "no multiple of 4"),
        ({"posterior": {"name": "fsq", "levels": [8] * 9}}, "are more than 16,777,216 codes"),
        ({"posterior": {"name": "vq"}, "model": {"network": "two-level"}}, "which are normal"),
        ({"model": {"network": "conv", "grid": True}, "prior": {"name": "vamp"}}, "vectors"),
        ({"model": {"network": "conv", "grid": True}, "objective": {"name": "dreg"}}, "vectors"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    settings: dict[str, dict[str, object]], message: str
) -> None:
    spec = spec_of(IMAGE)
    with pytest.raises(UsageError, match=message) as caught:
        choose(merge(("", settings)), spec).check(spec)
    assert "\n" not in caught.value.message


def test_a_codebook_needs_as_many_latents_to_start_from() -> None:
    spec = spec_of(IMAGE)
    settings = {"posterior": {"name": "vq", "codebook": 16, "code_dim": 20}}
    plan = choose(merge(("", settings)), spec)
    plan.check_items(spec, 16)
    with pytest.raises(UsageError, match=r"of which there are 15: .*posterior.codebook=15"):
        plan.check_items(spec, 15)
    short = replace(plan, posterior=choose(merge(("", {})), spec).posterior)
    short.check_items(spec, 1)


@pytest.mark.parametrize("levels", [[8, 0], [1, 5]])
def test_a_dimension_has_two_levels_or_more(levels: list[int]) -> None:
    with pytest.raises(UsageError, match=r"posterior\.levels"):
        merge(("", {"posterior": {"name": "fsq", "levels": levels}}))
