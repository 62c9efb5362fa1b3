"""Posteriors that are not normal vectors: latents that are images, and codes of a quantizer."""

import math
from dataclasses import dataclass

import pytest
import torch
from models import compute, make_state
from torch import Generator, Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.model import (
    VAE,
    DiagonalNormal,
    Posterior,
    Prior,
    SquaredError,
    StandardNormal,
    kl,
    kl_by_dim,
)
from vae_cli.noise import Noise
from vae_cli.runs.recorder import make_row
from vae_cli.training import EpochReport, evaluate, trace

SHAPE, EVENT, CODES = (1, 8, 8), (3, 2, 2), 5


@dataclass(frozen=True)
class Quantized(Posterior):
    """The nearest code of each place, `(B, C, H, W)`, with a gradient that passes it by."""

    encoded: Tensor
    nearest: Tensor
    codes: Tensor

    @property
    def event_shape(self) -> tuple[int, ...]:
        return tuple(self.encoded.shape[1:])

    def rsample(self, samples: int, noise: Noise) -> Tensor:
        passed = self.encoded + (self.nearest - self.encoded).detach()
        return passed.expand(samples, *passed.shape)

    def mode(self) -> Tensor:
        return self.nearest

    def log_prob(self, z: Tensor) -> Tensor:
        return z.new_zeros(z.shape[:2])

    def penalty(self) -> Tensor:
        codebook = (self.nearest - self.encoded.detach()).square()
        commitment = 0.25 * (self.nearest.detach() - self.encoded).square()
        return (codebook + commitment).flatten(1).sum(1)

    def features(self) -> dict[str, Tensor]:
        return {"codes": self.codes}


class QuantizingEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, EVENT[0], 4, 4)
        self.codebook = nn.Parameter(torch.randn(CODES, EVENT[0]))

    def forward(self, x: Tensor) -> Quantized:
        encoded = self.layer(x)
        places = encoded.movedim(1, -1)
        codes = (places[..., None, :] - self.codebook).square().sum(-1).argmin(-1)
        return Quantized(encoded, self.codebook[codes].movedim(-1, 1), codes)


@dataclass(frozen=True)
class UniformCodes:
    """Every code of every place is equally probable."""

    codebook: Tensor

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:
        places = math.prod(EVENT[1:])
        codes = noise.integers(CODES, count * places).view(count, *EVENT[1:])
        return self.codebook[codes].movedim(-1, 1)

    def log_prob(self, z: Tensor) -> Tensor:
        return z.new_full(z.shape[:-3], -math.prod(EVENT[1:]) * math.log(CODES))


class UniformPrior(Prior):
    def __init__(self, encoder: QuantizingEncoder) -> None:
        super().__init__()
        self.event_shape, self.encoder = EVENT, [encoder]  # in a list: its weights are not its own

    def forward(self, y: Tensor | None = None) -> UniformCodes:
        return UniformCodes(self.encoder[0].codebook)


class ImageEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2 * EVENT[0], 4, 4)

    def forward(self, x: Tensor) -> DiagonalNormal:
        return DiagonalNormal(*self.layer(x).chunk(2, 1), event_ndim=3)


def make(*, quantized: bool) -> VAE:
    torch.manual_seed(0)
    encoder = QuantizingEncoder() if quantized else ImageEncoder()
    decoder = nn.ConvTranspose2d(EVENT[0], 1, 4, 4)
    prior = (
        UniformPrior(encoder) if isinstance(encoder, QuantizingEncoder) else StandardNormal(*EVENT)
    )
    return VAE(encoder, decoder, SquaredError(), prior)


@pytest.fixture
def batch() -> Batch:
    return Batch(torch.rand(6, *SHAPE, generator=Generator().manual_seed(0)))


@pytest.mark.parametrize("quantized", [False, True])
def test_latents_of_any_shape_go_through_a_model(batch: Batch, quantized: bool) -> None:
    model = make(quantized=quantized)
    assert (model.event_shape, model.latent_dim) == (EVENT, 12)
    inference = model.infer(batch, samples=4, noise=Noise(0))
    assert inference.levels[0].z.shape == (4, 6, *EVENT)
    assert inference.likelihood.mean.shape == (4, 6, *SHAPE)
    assert inference.kl().shape == (6,)
    assert inference.log_weights(batch.x).shape == (4, 6)
    without = model.infer(batch)
    assert without.levels[0].z[0].equal(model.posterior(batch).mode())
    z = model.prior().sample(7, Noise(0))
    assert model.decode(z).mean.shape == (7, *SHAPE)


@pytest.mark.parametrize("quantized", [False, True])
def test_the_traced_step_of_latents_of_any_shape_is_the_plain_one(
    batch: Batch, quantized: bool
) -> None:
    plain, traced = (make_state(make(quantized=quantized)) for _ in range(2))
    loss, gradients = compute(plain, batch.x)
    again, same = trace(traced, len(batch), batch)(batch, torch.ones(()))
    assert loss.losses["model"].equal(again.losses["model"])
    for first, second in zip(gradients["model"], same["model"], strict=True):
        assert first.equal(second)
        assert first.abs().max() > 0, "the gradient reaches the encoder and the codes"


def test_the_kl_of_codes_is_that_of_choosing_them_uniformly(batch: Batch) -> None:
    """KL = log p(z), because log q(z|x) = 0: the codes of all places at the price of one each."""
    model = make(quantized=True)
    (level,) = model.infer(batch, noise=Noise(0)).levels
    expected = torch.full((6,), 4 * math.log(CODES))
    torch.testing.assert_close(kl(level.posterior, level.prior, level.z), expected)
    assert kl_by_dim(level.posterior, level.prior) is None


def test_the_kl_of_an_image_of_latents_is_that_of_the_same_vector(batch: Batch) -> None:
    posterior = make(quantized=False).posterior(batch)
    assert isinstance(posterior, DiagonalNormal)
    image = StandardNormal(*EVENT)()
    vector = DiagonalNormal(posterior.mean.flatten(1), posterior.log_variance.flatten(1))
    z = posterior.rsample(3, Noise(0))
    torch.testing.assert_close(kl(posterior, image, z), kl(vector, StandardNormal(12)(), z))
    torch.testing.assert_close(posterior.log_prob(z), vector.log_prob(z.flatten(2)))
    by_dim = kl_by_dim(posterior, image)
    assert by_dim is not None
    assert by_dim.equal(vector.kl_to_standard())


def test_what_a_posterior_costs_besides_its_kl_is_added_to_the_loss(batch: Batch) -> None:
    state = make_state(make(quantized=True))
    loss, _ = compute(state, batch.x)
    penalty = state.model.posterior(batch).penalty()
    assert penalty is not None
    terms = loss.terms["kl"] + loss.terms["mse"] + penalty.detach()
    torch.testing.assert_close(loss.losses["model"], terms.mean())


def test_an_evaluation_of_codes_has_no_kl_of_single_dimensions(batch: Batch) -> None:
    state = make_state(make(quantized=True))
    split = InMemory.whole(batch.x)
    found = evaluate(state.model, state.objective, split, data_size=6, seed=0)
    assert found.kl_by_dim is None
    assert found.active is None
    assert found.terms["kl"] == pytest.approx(4 * math.log(CODES), rel=1e-5)
    row = make_row(EpochReport(1, found, found, 1.0), "test")
    assert "active_dims" not in row
    assert row["test_kl"] == pytest.approx(found.terms["kl"], abs=1e-4)


def normal() -> DiagonalNormal:
    mean, log_variance = torch.randn(2, 4, 3, generator=Generator().manual_seed(0))
    return DiagonalNormal(mean, log_variance)


def test_kl_is_zero_only_for_the_standard_normal() -> None:
    zero = torch.zeros(2, 3)
    assert DiagonalNormal(zero, zero).kl_to_standard().eq(0).all()
    assert (normal().kl_to_standard() > 0).all()


def test_log_prob_agrees_with_torch() -> None:
    q, value = normal(), torch.linspace(-2, 2, 12).view(4, 3)
    expected = torch.distributions.Normal(q.mean, q.scale).log_prob(value).sum(-1)
    torch.testing.assert_close(q.log_prob(value), expected)


def test_scale_is_the_standard_deviation_of_the_samples() -> None:
    q = DiagonalNormal(torch.zeros(100_000, 1), torch.full((100_000, 1), math.log(9.0)))
    samples = q.rsample(1, Noise(0))[0]
    assert q.scale[0, 0] == pytest.approx(3.0)
    assert samples.std() == pytest.approx(3.0, rel=0.01)


def test_only_the_noise_decides_a_sample() -> None:
    q = normal()
    first, again = (q.rsample(1, Noise(7))[0] for _ in range(2))
    assert first.equal(again)
    assert not first.equal(q.rsample(1, Noise(8))[0])


def test_gradients_flow_through_a_sample() -> None:
    mean, log_variance = (torch.zeros(2, 3, requires_grad=True) for _ in range(2))
    DiagonalNormal(mean, log_variance).rsample(1, Noise(0))[0].sum().backward()
    noise = DiagonalNormal(mean, log_variance).rsample(1, Noise(0))[0].detach()
    torch.testing.assert_close(mean.grad, torch.ones(2, 3))
    torch.testing.assert_close(log_variance.grad, noise / 2)
