"""Items decoded from latents: traversals, reconstructions, and samples."""

import torch
from models import spec_of
from torch import Generator, Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec
from vae_cli.latent.decoding import (
    LevelOfItem,
    infer_level,
    reconstruct,
    sample,
    sample_latents,
    traverse,
)
from vae_cli.latent.flow_matching import FittedFlow
from vae_cli.latent.mixture import fit_mixture
from vae_cli.model import VAE, DiagonalNormal, LatentSampler
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge

OFFSETS = torch.tensor([-1.0, 0.0, 2.0])


def test_each_row_shifts_its_own_dimension_around_the_posterior_mean(
    model: VAE, posterior: DiagonalNormal
) -> None:
    rows = traverse(model, LevelOfItem(posterior), OFFSETS, [3, 0])
    for row, dim in zip(rows, (3, 0), strict=True):
        for tile, offset in zip(row, OFFSETS, strict=True):
            z = posterior.mean.clone()
            z[0, dim] += offset
            torch.testing.assert_close(tile, model.decode(z).mean[0])


def test_a_row_does_not_depend_on_the_rows_before_it(model: VAE, posterior: DiagonalNormal) -> None:
    dims = range(model.latent_dim)
    together = traverse(model, LevelOfItem(posterior), OFFSETS, dims)
    for dim in dims:
        alone = traverse(model, LevelOfItem(posterior), OFFSETS, [dim])[0]
        torch.testing.assert_close(together[dim], alone)


def test_every_row_shows_the_reconstruction_at_offset_zero(
    model: VAE, images: Tensor, posterior: DiagonalNormal
) -> None:
    rows = traverse(model, LevelOfItem(posterior), OFFSETS, range(model.latent_dim))
    reconstruction = reconstruct(model, Batch(images[:1])).items
    torch.testing.assert_close(rows[:, 1], reconstruction.expand_as(rows[:, 1]))


def test_without_dimensions_all_of_them_shift_together(
    model: VAE, posterior: DiagonalNormal
) -> None:
    (row,) = traverse(model, LevelOfItem(posterior), OFFSETS)
    torch.testing.assert_close(row, model.decode(posterior.mean + OFFSETS[:, None]).mean)


def test_a_sampled_traversal_has_new_noise_in_every_column(
    model: VAE, posterior: DiagonalNormal
) -> None:
    level = LevelOfItem(posterior)
    means = traverse(model, level, torch.zeros(3))
    samples = traverse(model, level, torch.zeros(3), noise=Noise(0))
    assert means[0, 0].equal(means[0, 1])
    assert not samples[0, 0].equal(samples[0, 1])


def test_a_reconstruction_repeats_and_has_the_distortion_and_kl_of_each_image(
    model: VAE, images: Tensor
) -> None:
    first, again = reconstruct(model, Batch(images)), reconstruct(model, Batch(images))
    assert first.items.equal(again.items)
    squared_error = ((images - first.items) ** 2).sum((1, 2, 3))
    torch.testing.assert_close(first.distortion, squared_error)
    torch.testing.assert_close(first.kl, model.encoder(images).kl_to_standard().sum(1))


def test_a_reconstruction_with_noise_is_decoded_from_samples(model: VAE, images: Tensor) -> None:
    sampled = reconstruct(model, Batch(images), Noise(0))
    z = model.posterior(Batch(images)).rsample(1, Noise(0))[0]
    torch.testing.assert_close(sampled.items, model.decode(z).mean)
    assert not sampled.items.equal(reconstruct(model, Batch(images)).items)


def test_the_temperature_scales_the_latents(model: VAE) -> None:
    cold = sample(model, 3, Noise(0), temperature=0.0)
    torch.testing.assert_close(cold, model.decode(torch.zeros(3, model.latent_dim)).mean)
    z = model.prior.sample(3, Noise(5))
    warm = sample(model, 3, Noise(5), temperature=2.0)
    torch.testing.assert_close(warm, model.decode(2 * z).mean)


def test_samples_are_decoded_from_the_sampled_latents(model: VAE) -> None:
    z = sample_latents(model, 3, Noise(1), temperature=0.5)
    items = sample(model, 3, Noise(1), temperature=0.5)
    torch.testing.assert_close(items, model.decode(z).mean)


def test_spread_gives_rows_the_deviation_of_the_likelihood() -> None:
    config = merge(("", {"model": {"hidden": [4], "latent_dim": 2}}))
    model = choose(config, spec_of((2,))).build_model(spec_of((2,)))
    rows = sample(model, 4000, Noise(0), temperature=0.0, with_spread=True)
    likelihood = model.decode(torch.zeros(1, 2))
    torch.testing.assert_close(rows.mean(0), likelihood.mean[0], rtol=0, atol=0.15)
    torch.testing.assert_close(rows.std(0), torch.ones(2), rtol=0.06, atol=0)
    assert sample(model, 2, Noise(0), temperature=0.0).equal(likelihood.mean.expand(2, 2))


def test_without_temperature_a_fitted_sampler_gives_its_centres() -> None:
    points = 3 + torch.randn(400, 2, generator=Generator().manual_seed(0))
    flow = FittedFlow(2).whiten(DiagonalNormal(points, torch.zeros_like(points)))
    samplers: list[LatentSampler] = [fit_mixture(points, 0), flow]
    for sampler in samplers:
        cold, warm = (sampler.sample(500, Noise(1), t) for t in (0.0, 1.0))
        assert len(cold.unique(dim=0)) <= 10 < len(warm.unique(dim=0))
        assert (cold.mean(0) - 3).abs().max() < 0.5, "not at the origin"
        assert cold.requires_grad is warm.requires_grad is False


def test_what_is_decoded_has_its_condition_under_every_prior_and_sampler() -> None:
    label = Column(name="label", kind="category", categories=("Bag", "Coat", "Shirt"))
    spec = Spec("clothes", (1, 8, 8), classes=label.categories, condition=(label,))
    for prior in ("normal", "conditional"):
        torch.manual_seed(0)
        settings = {"model": {"network": "mlp", "hidden": [4], "latent_dim": 2}}
        plan = choose(merge(("", settings | {"prior": {"name": prior}})), spec)
        model = plan.build_model(spec).eval().requires_grad_(False)
        assert model.condition is not None
        for parameter in model.prior.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        coat, each = (
            model.condition.encode(torch.tensor(rows).double()[:, None]) for rows in ([1], [0, 1])
        )
        coats = sample(model, 2, Noise(0), y=coat)
        both = sample(model, 2, Noise(0), y=each)
        assert both[1].equal(coats[1]), "one condition is that of all"
        assert not both[0].equal(coats[0])
        unknown = sample(model, 2, Noise(0), y=model.condition.none[None])
        assert sample(model, 2, Noise(0)).equal(unknown)
        z = model.prior_of(each, 2).sample(2, Noise(0))
        assert z.equal(sample_latents(model, 2, Noise(0), y=each))
        assert both.equal(model.decode(z, each).mean)
        item = Batch(torch.rand(1, 1, 8, 8), coat)
        (row,) = traverse(model, infer_level(model, item, 0), torch.zeros(2), [1])
        assert row[1:].equal(reconstruct(model, item).items)
