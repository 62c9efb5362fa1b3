"""Samples from the prior, and from what is fitted in its place."""

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.latent import samplers
from vae_cli.latent.samplers import fit_flow, fit_mixture
from vae_cli.latent.sampling import sample, sample_latents
from vae_cli.model import VAE, LatentPrior
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge


def test_the_temperature_scales_the_latents(model: VAE) -> None:
    cold = sample(model, 3, Noise(0), temperature=0.0)
    torch.testing.assert_close(cold, model.decode(torch.zeros(3, model.latent_dim)).mean)
    z = model.prior().sample(3, Noise(5))
    warm = sample(model, 3, Noise(5), temperature=2.0)
    torch.testing.assert_close(warm, model.decode(2 * z).mean)


def test_samples_are_decoded_from_the_sampled_latents(model: VAE) -> None:
    z = sample_latents(model, 3, Noise(1), temperature=0.5)
    items = sample(model, 3, Noise(1), temperature=0.5)
    torch.testing.assert_close(items, model.decode(z).mean)


def test_spread_gives_rows_the_deviation_of_the_likelihood() -> None:
    config = merge(("", {"model": {"hidden": [4], "latent_dim": 2}}))
    model = choose(config, (2,)).build_model((2,))
    rows = sample(model, 4000, Noise(0), temperature=0.0, with_spread=True)
    likelihood = model.decode(torch.zeros(1, 2))
    torch.testing.assert_close(rows.mean(0), likelihood.mean[0], rtol=0, atol=0.15)
    torch.testing.assert_close(rows.std(0), torch.ones(2), rtol=0.06, atol=0)
    assert sample(model, 2, Noise(0), temperature=0.0).equal(likelihood.mean.expand(2, 2))


@pytest.mark.parametrize("fit", [fit_mixture, fit_flow], ids=["gmm", "flow"])
def test_without_temperature_a_fitted_sampler_gives_its_centres(
    fit: Callable[[Tensor, int], LatentPrior], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplers, "STEPS", 20)
    points = 3 + torch.randn(400, 2, generator=Generator().manual_seed(0))
    sampler = fit(points, 0)
    with torch.no_grad():
        cold, warm = (sampler.sample(500, Noise(1), t) for t in (0.0, 1.0))
    assert len(cold.unique(dim=0)) <= 10 < len(warm.unique(dim=0))
    assert (cold.mean(0) - 3).abs().max() < 0.5, "not at the origin"
