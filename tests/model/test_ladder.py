"""The ladder VAE: a flat VAE without rungs, and conditional priors with them."""

from collections.abc import Callable

import pytest
import torch
from models import lose, spec_of
from torch import Generator, Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.model import (
    PRESETS,
    VAE,
    ConvDecoder,
    ConvEncoder,
    DiagonalNormal,
    LadderVAE,
    NegativeELBO,
    NegativeIWAE,
    Objective,
    Rung,
    SquaredError,
    StandardNormal,
    choose_conv_sizes,
)
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge

SHAPE, LATENT_DIM = (1, 16, 20), 3
SIZES = choose_conv_sizes(SHAPE, PRESETS["small"])
DIMS = (3, 2 * 8 * 10, 8 * 10)  # of the levels of `ladder`


@pytest.fixture
def ladder() -> LadderVAE:
    """Three levels, with weights that are not at their special start."""
    torch.manual_seed(0)
    rungs = [Rung(SIZES, 0, channels=2), Rung(SIZES, 0, channels=1)]
    return awake(make_ladder(rungs))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, *SHAPE, generator=Generator().manual_seed(0))


def make_ladder(rungs: list[Rung]) -> LadderVAE:
    encoder, decoder = ConvEncoder(SIZES, LATENT_DIM), ConvDecoder(SIZES, LATENT_DIM)
    return LadderVAE(
        encoder, decoder, rungs, likelihood=SquaredError(), prior=StandardNormal(LATENT_DIM)
    )


@torch.no_grad()
def awake(model: LadderVAE) -> LadderVAE:
    """Give every convolution random weights; some start at or near zero."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.normal_(std=0.1)
    return model


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("objective", [NegativeELBO(free_bits=0.1), NegativeIWAE(3)])
def test_one_level_equals_the_flat_vae_bit_for_bit(
    images: Tensor, samples: int, objective: Objective
) -> None:
    ladder = awake(make_ladder([]))
    flat = VAE(ladder.encoder, ladder.decoder, ladder.likelihood, ladder.prior)
    if isinstance(objective, NegativeIWAE) and samples == 1:
        objective = NegativeIWAE(1)
    losses = [
        lose(objective, images, inference, warmup=0.5)
        for inference in (model.infer(Batch(images), samples, Noise(1)) for model in (ladder, flat))
    ]
    assert losses[0].losses["model"].equal(losses[1].losses["model"])
    assert all(losses[0].terms[name].equal(losses[1].terms[name]) for name in losses[0].terms)
    assert ladder.infer(Batch(images)).likelihood.mean.equal(
        flat.infer(Batch(images)).likelihood.mean
    )
    assert ladder.latent_dims == flat.latent_dims == (LATENT_DIM,)


@pytest.mark.parametrize("samples", [1, 3])
def test_the_levels_have_the_documented_shapes(
    ladder: LadderVAE, images: Tensor, samples: int
) -> None:
    inference = ladder.infer(Batch(images), samples, Noise(0))
    assert ladder.latent_dims == DIMS
    for level, dims in zip(inference.levels, DIMS, strict=True):
        assert level.z.shape == (samples, 4, dims)
        assert level.kl_by_group().shape == (4, dims)
        assert level.kl_by_group().equal(level.kl_by_dim())
    assert inference.likelihood.mean.shape == (samples, 4, *SHAPE)
    assert inference.log_weights(images).shape == (samples, 4)


def test_every_parameter_gets_a_gradient(ladder: LadderVAE, images: Tensor) -> None:
    inference = ladder.infer(Batch(images), 2, Noise(0))
    lose(NegativeELBO(), images, inference).losses["model"].backward()
    for name, parameter in ladder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("network", ["conv", "hierarchical"])
def test_every_parameter_gets_a_gradient_within_two_steps_from_the_start(network: str) -> None:
    """Some weights start at zero, so the layers before them see a gradient one step later."""
    torch.manual_seed(0)
    model, x = (
        choose(merge(("", {"model": {"network": network}})), spec_of(SHAPE)).build_model(
            spec_of(SHAPE)
        ),
        torch.rand(2, *SHAPE),
    )
    optimizer, reached = torch.optim.SGD(model.parameters(), 1e-3), set()
    for _ in range(2):
        optimizer.zero_grad()
        lose(NegativeELBO(), x, model(Batch(x), noise=Noise(0))).losses["model"].backward()
        reached |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
    assert reached == {name for name, _ in model.named_parameters()}


def test_the_kl_of_a_lower_level_is_that_of_a_monte_carlo_estimate(
    ladder: LadderVAE, images: Tensor
) -> None:
    level = ladder.infer(Batch(images), 2, Noise(0)).levels[1]
    posterior, prior = level.posterior, level.prior
    assert isinstance(posterior, DiagonalNormal)
    assert isinstance(prior, DiagonalNormal)
    noise = Noise(1)
    z = torch.stack([posterior.rsample(2, noise) for _ in range(4000)])
    ratio = posterior.log_prob_by_dim(z) - prior.log_prob_by_dim(z)
    estimate, error = ratio.mean((0, 1)), ratio.flatten(0, 1).std(0) / 8000**0.5
    assert (((level.kl_by_group() - estimate) / error).abs() < 5).all()
    assert (level.kl_by_group() >= 0).all()


def test_a_posterior_that_changes_nothing_is_the_prior(ladder: LadderVAE, images: Tensor) -> None:
    """The change is in units of the prior, so that the KL is that of N(m, exp s) to N(0, 1)."""
    rung = ladder.rungs[0]
    assert isinstance(rung, Rung)
    with torch.no_grad():
        for layer in (rung.up, rung.down):
            layer.weight[-4:] = 0
            layer.bias[-4:] = 0
    inference = ladder.infer(Batch(images))
    assert inference.levels[1].kl().abs().max() < 1e-6
    assert inference.levels[2].kl().min() > 0


def test_a_narrow_prior_does_not_enlarge_the_kl(ladder: LadderVAE, images: Tensor) -> None:
    rung = ladder.rungs[0]
    assert isinstance(rung, Rung)
    before = ladder.infer(Batch(images)).levels[1].kl_by_group()
    with torch.no_grad():
        rung.down.bias[2:4] = -12.0
    torch.testing.assert_close(
        ladder.infer(Batch(images)).levels[1].kl_by_group(), before, rtol=1e-2, atol=1e-2
    )


def test_a_lower_level_depends_on_the_levels_above(ladder: LadderVAE, images: Tensor) -> None:
    first, second = ladder.infer(Batch(images), 2, Noise(0)).levels[1].posterior.mean
    assert not torch.allclose(first, second)


def test_the_samples_are_those_of_one_at_a_time(ladder: LadderVAE, images: Tensor) -> None:
    """With the latents given, the K samples of a batch do not see each other."""
    inference = ladder.infer(Batch(images), 3, Noise(0))
    latents = [level.z for level in inference.levels]
    together = ladder.decode_levels(latents).mean
    torch.testing.assert_close(together, inference.likelihood.mean)
    alone = ladder.decode_levels([z[1, 2:3] for z in latents]).mean
    torch.testing.assert_close(alone[0], together[1, 2])


def test_what_is_not_given_is_the_mean_of_its_prior(ladder: LadderVAE) -> None:
    z = torch.randn(5, LATENT_DIM, generator=Generator().manual_seed(0))
    cold = ladder.generate(z, Noise(0), 0.0).mean
    torch.testing.assert_close(cold, ladder.decode(z).mean)
    warm = [ladder.generate(z, Noise(seed), 1.0).mean for seed in (0, 0, 1)]
    assert warm[0].equal(warm[1])
    assert not warm[0].equal(warm[2])
    assert not torch.allclose(warm[0], cold)


def test_the_samples_of_a_lower_level_have_the_moments_of_its_prior() -> None:
    normal = DiagonalNormal(torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    z = normal.rsample(100_000, Noise(0))
    entropy = 0.5 * (1 + 1.0 + torch.tensor(2 * torch.pi).log())
    torch.testing.assert_close(-normal.log_prob(z).mean(), entropy, rtol=0, atol=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_latents_are_float32_in_any_precision(
    ladder: LadderVAE, images: Tensor, dtype: torch.dtype
) -> None:
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        inference = ladder.infer(Batch(images), 2, Noise(0))
    assert all(level.z.dtype == torch.float32 for level in inference.levels)
    assert lose(NegativeELBO(), images, inference).losses["model"].isfinite()


def test_free_bits_count_each_level_or_each_dimension(ladder: LadderVAE, images: Tensor) -> None:
    inference = ladder.infer(Batch(images), 1, Noise(0))
    kls = [level.kl_by_group().mean(0) for level in inference.levels]
    distortion = inference.likelihood.distortion(images).mean()

    def expected(groups: Callable[[Tensor], Tensor], bits: float) -> Tensor:
        return distortion + sum(groups(kl).clamp(min=bits).sum() for kl in kls)

    by_level = lose(NegativeELBO(free_bits=20.0, by_level=True), images, inference)
    torch.testing.assert_close(by_level.losses["model"], expected(lambda kl: kl.sum(), 20.0))
    by_dim = lose(NegativeELBO(free_bits=0.1), images, inference)
    torch.testing.assert_close(by_dim.losses["model"], expected(lambda kl: kl, 0.1))
