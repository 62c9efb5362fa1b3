"""The likelihood of a model that can be solved, and what must not change it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from models import conditional_vae, mlp_vae
from torch import Tensor, nn

from vae_cli.data.split import InMemory
from vae_cli.evaluation import likelihood
from vae_cli.evaluation.figures import Absent, Figure
from vae_cli.evaluation.likelihood import (
    bits_per_dim,
    describe_rise,
    distortion_of_samples,
    estimate_likelihoods,
    likelihood_figures,
)
from vae_cli.model import (
    VAE,
    Bernoulli,
    DiscretizedLogistic,
    Laplace,
    Likelihood,
    MLPDecoder,
    MLPEncoder,
    SharedGaussian,
    SquaredError,
    StandardNormal,
)

SHAPE = (1, 6, 6)


def small_model(likelihood: Likelihood) -> VAE:
    torch.manual_seed(0)
    outputs = (likelihood.outputs_per_value, *SHAPE[1:])
    encoder, decoder = MLPEncoder(SHAPE, [16], 3), MLPDecoder(outputs, [16], 3)
    return VAE(encoder, decoder, likelihood, StandardNormal(3)).eval()


def pictures(count: int = 12) -> InMemory:
    generator = torch.Generator().manual_seed(1)
    return InMemory.whole(torch.randint(0, 256, (count, *SHAPE), generator=generator).byte())


def test_with_the_exact_posterior_every_bound_is_the_likelihood(exact: Any) -> None:
    found = estimate_likelihoods(exact.model, exact.split, 20, seed=0)
    torch.testing.assert_close(found.bound, exact.log_likelihood)
    torch.testing.assert_close(found.early, exact.log_likelihood)
    torch.testing.assert_close(found.effective, torch.full((500,), 20.0, dtype=torch.float64))


def test_with_another_posterior_the_bound_converges_to_the_likelihood(wide: Any) -> None:
    few, many = (estimate_likelihoods(wide.model, wide.split, k, seed=0) for k in (2, 2000))
    gap = wide.log_likelihood - torch.stack([-(few.distortion + few.kl), few.bound, many.bound])
    assert gap[0].mean() > gap[1].mean() > 0.01
    assert abs(gap[2].mean()) < 0.002
    kl = 0.5 * 2 * (2 - 1 - math.log(2))  # of q with twice the variance from p(z|x), 2 dimensions
    elbo_gap = (wide.log_likelihood + many.distortion + many.kl).mean().item()
    assert elbo_gap == pytest.approx(kl, abs=0.01)
    assert 10 < many.effective.mean() < 2000


def test_an_item_has_one_score_whatever_is_scored_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, split = small_model(SquaredError()), pictures()
    whole = estimate_likelihoods(model, split, 50, seed=3)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    shuffled = estimate_likelihoods(model, split.take(order), 50, seed=3)
    assert torch.equal(shuffled.bound, whole.bound[order])
    assert not torch.equal(estimate_likelihoods(model, split, 50, seed=4).bound, whole.bound)
    monkeypatch.setattr(likelihood, "BLOCK_VALUES", 36 * 7)
    torch.testing.assert_close(estimate_likelihoods(model, split, 50, seed=3).bound, whole.bound)


def test_the_number_of_threads_changes_nothing() -> None:
    model, split, threads = small_model(SquaredError()), pictures(), torch.get_num_threads()
    bounds = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            bounds.append(estimate_likelihoods(model, split, 200, seed=0).bound)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*bounds)


@pytest.mark.parametrize(
    "kind",
    [
        SquaredError(),
        Bernoulli(is_binary=False),
        SharedGaussian(is_optimal=True),
        Laplace(),
        DiscretizedLogistic(2),
    ],
    ids=lambda kind: type(kind).__name__,
)
def test_the_fast_distortion_is_the_distortion(kind: Likelihood) -> None:
    model, x = small_model(kind), pictures().network_input(torch.tensor([0]))
    with torch.no_grad():
        z = torch.randn(9, 1, 3)
        expected = model.decode(z).distortion(x)[:, 0]
        found = distortion_of_samples(model.decode(z), x)
    torch.testing.assert_close(found, expected)


def test_samples_of_any_model_with_latents_agree_with_the_fast_ones() -> None:
    model, split = small_model(SquaredError()), pictures(4)
    fast = estimate_likelihoods(model, split, 4000, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likelihood, "VAE", Laplace)  # the path of models with several levels
        general = estimate_likelihoods(model, split, 4000, seed=0)
    torch.testing.assert_close(fast.bound, general.bound, rtol=0, atol=0.1)
    torch.testing.assert_close(fast.kl, general.kl)


def test_bits_are_given_for_discrete_pixels_only() -> None:
    found = {}
    for kind in (DiscretizedLogistic(2), SquaredError(), Bernoulli(is_binary=True)):
        model = small_model(kind)
        scores = estimate_likelihoods(model, pictures(), 20, seed=0)
        found[type(kind)] = bits_per_dim(scores, model)
        bound = scores.bound.mean().item()
    bits = found[DiscretizedLogistic]
    assert isinstance(bits, Figure)
    assert 4 < bits.value < 16  # noise of 256 levels costs at least 8 bits on average
    assert isinstance(found[SquaredError], Absent)
    assert isinstance(found[Bernoulli], Absent)
    assert bound < 0


def test_the_check_of_convergence_tells_an_easy_model_from_a_hard_one(exact: Any) -> None:
    easy = describe_rise(estimate_likelihoods(exact.model, exact.split, 20, seed=0))
    assert isinstance(easy, Figure)
    assert easy.definition.endswith("; converged")
    scores = estimate_likelihoods(small_model(Bernoulli(is_binary=True)), pictures(), 5, seed=0)
    assert isinstance(describe_rise(scores), Absent)


def test_cross_entropy_on_grey_values_is_not_called_a_likelihood() -> None:
    model = small_model(Bernoulli(is_binary=False))
    figures = likelihood_figures(estimate_likelihoods(model, pictures(), 20, seed=0), model)
    figure = figures["log_likelihood"]
    assert isinstance(figure, Figure)
    assert "not a likelihood" in figure.definition


def test_the_items_of_a_class_have_the_likelihood_of_a_model_of_this_class() -> None:
    model, split = conditional_vae(SHAPE, classes=2).eval(), pictures(4)
    given = replace(split, condition=torch.tensor([0, 1, 1, 0]))
    found = estimate_likelihoods(model, given, 20, seed=0)
    for number in range(2):
        of_class = mlp_vae(SHAPE)
        of_class.encoder, of_class.decoder = (
            Fixed(one, number) for one in (model.encoder, model.decoder)
        )
        expected = estimate_likelihoods(of_class.eval(), split, 20, seed=0)
        own = given.condition == number
        torch.testing.assert_close(found.bound[own], expected.bound[own])
        assert not found.bound[~own].isclose(expected.bound[~own]).any()


class Fixed(nn.Module):
    """A network of items of any class as one of items of a single class."""

    def __init__(self, network: nn.Module, number: int) -> None:
        super().__init__()
        self.network, self.number = network, number

    def forward(self, inputs: Tensor) -> Any:
        return self.network(inputs, torch.full((len(inputs),), self.number))
