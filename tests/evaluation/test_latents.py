"""The figures of the latents where they are known."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vae_cli.evaluation.figures import Figure
from vae_cli.evaluation.latents import (
    active_units,
    aggregate_terms,
    describe_information,
    latent_figures,
    mean_kl_by_dim,
)
from vae_cli.evaluation.likelihood import encode
from vae_cli.model import VAE, DiagonalNormal, StandardNormal


def test_the_information_of_the_linear_model_is_known(exact: Any) -> None:
    posterior = encode(exact.model, exact.split)
    information, divergence = aggregate_terms(exact.model, posterior, seed=0)
    assert information.mean().item() == pytest.approx(exact.information, abs=0.1)
    assert abs(divergence.mean().item()) < 0.1  # q(z) is p(z), but for 500 items
    total = sum(mean_kl_by_dim(exact.model, posterior))
    assert (information + divergence).mean().item() == pytest.approx(total, abs=0.1)


def test_items_without_overlap_have_all_the_information_there_can_be(exact: Any) -> None:
    far = 100 * torch.arange(50.0)[:, None].expand(50, 2).double()
    posterior = DiagonalNormal(far, torch.zeros_like(far))
    information, _ = aggregate_terms(exact.model, posterior, seed=0)
    torch.testing.assert_close(information, torch.full_like(information, math.log(50)))
    figure = describe_information(information)
    assert isinstance(figure, Figure)
    assert "with more items it would be higher" in figure.definition


def test_collapsed_units_are_neither_active_nor_informative(exact: Any) -> None:
    mean = torch.zeros(100, 2, dtype=torch.float64)
    figures = latent_figures(exact.model, DiagonalNormal(mean, mean), 0)
    values = {name: one.value for name, one in figures.items() if isinstance(one, Figure)}
    assert values["active_units"] == 0
    assert values["mutual_information"] == pytest.approx(0, abs=1e-12)
    assert values["aggregate_kl"] == pytest.approx(0, abs=1e-12)


def test_latents_on_a_grid_have_the_figures_of_a_vector(exact: Any) -> None:
    mean, log_variance = torch.randn(2, 30, 12, generator=torch.Generator().manual_seed(0)).double()
    found = []
    for shape in ((12,), (3, 2, 2)):
        model = VAE(
            exact.model.encoder, exact.model.decoder, exact.model.likelihood, StandardNormal(*shape)
        )
        values = mean.view(30, *shape), log_variance.view(30, *shape)
        found.append(latent_figures(model, DiagonalNormal(*values, len(shape)), seed=0))
    flat, grid = found
    for name, one in flat.items():
        other = grid[name]
        assert isinstance(one, Figure)
        assert isinstance(other, Figure)
        assert other.value == pytest.approx(one.value, rel=1e-6)


def test_units_are_active_by_the_variance_of_their_means() -> None:
    means = torch.tensor([[0.0, 0.0, 5.0], [0.1, 0.2, 5.0]])  # variances 0.005, 0.02 and 0
    figure = active_units(means)
    assert isinstance(figure, Figure)
    assert figure.value == 1


def test_the_order_of_the_items_changes_nothing(exact: Any) -> None:
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    posterior = encode(exact.model, exact.split.take(order))
    torch.testing.assert_close(posterior.mean, encode(exact.model, exact.split).mean[order])
    found = [
        latent_figures(exact.model, encode(exact.model, split), 0)["mutual_information"]
        for split in (exact.split, exact.split.take(order))
    ]
    assert isinstance(found[0], Figure)
    assert isinstance(found[1], Figure)
    assert found[0].error is not None
    assert abs(found[0].value - found[1].value) < 4 * found[0].error


def test_a_prior_of_conditions_is_their_mixture() -> None:
    """With p(z|y) of two conditions, p(z) is a mixture of two normal distributions."""
    torch.manual_seed(0)

    def prior_of(y: torch.Tensor, count: int) -> DiagonalNormal:
        assert len(y) == count
        return DiagonalNormal(3 * y - 1.5, -0.5 * y)

    model: Any = SimpleNamespace(device=torch.device("cpu"), prior_of=prior_of)
    y = (torch.arange(400) % 2)[:, None].expand(-1, 2).float()
    prior = prior_of(y, 400)
    posterior = DiagonalNormal(prior.mean, torch.full_like(prior.mean, -1.0))
    _, divergence = aggregate_terms(model, posterior, seed=0, y=y)

    def mix(scale: torch.Tensor) -> torch.distributions.Distribution:
        parts = torch.distributions.Normal(prior.mean[:2], scale)
        weights = torch.distributions.Categorical(torch.ones(2))
        return torch.distributions.MixtureSameFamily(
            weights, torch.distributions.Independent(parts, 1)
        )

    narrow = mix(posterior.scale[:2])
    z = narrow.sample((50_000,))
    expected = (narrow.log_prob(z) - mix(prior.scale[:2]).log_prob(z)).mean().item()
    assert divergence.mean().item() == pytest.approx(expected, abs=0.08)
    figure = latent_figures(model, posterior, seed=0, y=y)["aggregate_kl"]
    assert isinstance(figure, Figure)
    assert figure.value == pytest.approx(divergence.mean().item())
    assert "mean of p(z|y) over the items" in figure.definition
    total = sum(mean_kl_by_dim(model, posterior, y))
    assert total == pytest.approx(prior.kl_from(posterior).sum(1).mean().item())
