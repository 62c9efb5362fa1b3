"""Von Mises-Fisher posteriors against scipy, and against integrals in float64."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import Generator, Tensor

from vae_cli.errors import UsageError
from vae_cli.model import (
    VAE,
    MLPDecoder,
    MLPEncoder,
    SphereHead,
    SquaredError,
    UniformOnSphere,
    UniformSphere,
    VonMisesFisher,
    kl,
)
from vae_cli.model.sphere import invert, log_area, tabulate
from vae_cli.noise import Noise

CONCENTRATIONS = (0.01, 0.5, 3.0, 50.0, 1e3, 1e5)
CASES = [(dims, kappa) for dims in (2, 3, 4, 5, 20, 50) for kappa in CONCENTRATIONS]


def first_axis(dims: int, concentration: Tensor) -> VonMisesFisher:
    """Distributions around the first axis."""
    return VonMisesFisher(torch.eye(dims)[:1].expand(len(concentration), -1), concentration)


def mean_length(dims: int, kappa: float) -> float:
    """E[μᵀz] by Bessel functions."""
    return float(special.ive(dims / 2, kappa) / special.ive(dims / 2 - 1, kappa))


def exact_kl(dims: int, kappa: float) -> float:
    """The KL to the uniform distribution by Bessel functions (Davidson et al., 2018, eq. 16)."""
    order = dims / 2 - 1
    log_constant = order * math.log(kappa) - dims / 2 * math.log(2 * math.pi) - kappa
    log_constant -= math.log(special.ive(order, kappa))
    return kappa * mean_length(dims, kappa) + log_constant + log_area(dims)


def test_the_kl_and_its_gradient_are_those_of_bessel_functions() -> None:
    for dims, kappa in CASES:
        concentration = torch.tensor([kappa], requires_grad=True)
        found = first_axis(dims, concentration).closed_form_kl(UniformSphere(torch.zeros(dims)))
        assert found is not None
        assert float(found.detach()) == pytest.approx(exact_kl(dims, kappa), abs=2e-5), dims
        (gradient,) = torch.autograd.grad(found.sum(), concentration)
        length = mean_length(dims, kappa)
        exact = kappa * (1 - length**2 - (dims - 1) / kappa * length)  # κ Var(μᵀz)
        if kappa < 1e4:  # float64 of scipy loses the difference too
            assert float(gradient) == pytest.approx(exact, rel=1e-4), (dims, kappa)


def test_large_dimensions_and_concentrations_are_finite_where_bessel_functions_are_not() -> None:
    for dims in (1000, 4096):
        concentration = torch.tensor([0.01, 1.0, 100.0, 1e4, 1e5], requires_grad=True)
        posterior = first_axis(dims, concentration)
        found = posterior.closed_form_kl(UniformSphere(torch.zeros(dims)))
        assert found is not None
        z = posterior.rsample(2, Noise(0))
        (gradient,) = torch.autograd.grad(found.sum() + z[..., 0].sum(), concentration)
        assert found.isfinite().all()
        assert (found[2:] > found[1:-1]).all()
        assert gradient.isfinite().all()
        small = 100.0**2 / (2 * dims)  # of a concentration far below the dimensions
        assert float(found[2].detach()) == pytest.approx(small, rel=0.02)


def test_the_log_density_is_that_of_scipy() -> None:
    random = torch.randn(40, 5, generator=Generator().manual_seed(0))
    z, direction = torch.nn.functional.normalize(random, dim=-1).split([39, 1])
    for kappa in (0.5, 20.0, 300.0):
        posterior = VonMisesFisher(direction, torch.tensor([kappa]))
        mean = direction[0].double().numpy()
        expected = stats.vonmises_fisher(mean / np.linalg.norm(mean), kappa).logpdf(
            torch.nn.functional.normalize(z.double(), dim=-1).numpy()
        )
        found = posterior.log_prob(z[:, None])[:, 0]
        torch.testing.assert_close(found.double(), torch.tensor(expected), rtol=1e-5, atol=1e-4)


def test_angles_have_their_distribution_function() -> None:
    """As exactly as the docstring says, over the whole range of uniform numbers."""
    uniform = torch.linspace(0.001, 0.999, 101)[None]
    for dims, kappa in CASES:
        table = tabulate(torch.tensor([kappa]), dims)
        angles = (table.mode + invert(table, uniform))[0].double().numpy()
        mode = float(table.mode)

        def density(
            angle: float, dims: int = dims, kappa: float = kappa, mode: float = mode
        ) -> float:
            power = math.sin(angle) / max(math.sin(mode), 1e-9) if dims > 2 else 1.0
            return math.exp(kappa * (math.cos(angle) - math.cos(mode))) * power ** (dims - 2)

        pieces = [0.0, *angles.tolist(), min(math.pi, float(angles[-1] + 10 * np.ptp(angles)))]
        masses = [
            integrate.quad(density, low, high, epsabs=0, epsrel=1e-9)[0]
            for low, high in pairwise(pieces)
        ]
        reached = np.cumsum(masses)[:-1] / np.sum(masses)
        assert np.abs(reached - uniform[0].numpy()).max() < 2e-6, (dims, kappa)


def test_samples_have_the_mean_length_and_its_gradient() -> None:
    for dims, kappa in ((2, 3.0), (3, 50.0), (20, 0.5), (20, 50.0)):
        concentration = torch.tensor([kappa], requires_grad=True)
        z = first_axis(dims, concentration).rsample(100_000, Noise(0))[:, 0]
        along = z[:, 0]
        torch.testing.assert_close(z.norm(dim=-1), torch.ones(len(z)))
        error = float(along.detach().std()) / math.sqrt(len(z))
        length = mean_length(dims, kappa)
        assert float(along.detach().mean()) == pytest.approx(length, abs=4 * error)
        (gradient,) = torch.autograd.grad(along.mean(), concentration)
        exact = 1 - length**2 - (dims - 1) / kappa * length
        assert float(gradient) == pytest.approx(exact, rel=0.05)
        across = z[:, 1:].detach()
        limit = 5 * float(across.std()) / math.sqrt(len(z))
        assert across.mean(0).abs().max() < limit, "no direction is preferred"


def test_the_closed_form_is_the_mean_of_the_log_ratio() -> None:
    posterior = first_axis(6, torch.tensor([1.0, 30.0]))
    prior = UniformOnSphere(6)()
    z = posterior.rsample(100_000, Noise(1))
    ratio = posterior.log_prob(z) - prior.log_prob(z)
    torch.testing.assert_close(kl(posterior, prior, z), ratio.mean(0), rtol=0.01, atol=0.01)


def test_the_prior_is_uniform_and_has_no_temperature() -> None:
    prior = UniformOnSphere(4)()
    z = prior.sample(20_000, Noise(0))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(len(z)))
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(4) / 4, rtol=0, atol=0.01)
    assert prior.log_prob(z[0]).exp() == pytest.approx(1 / (2 * math.pi**2))
    with pytest.raises(UsageError, match=r"temperature=0\.5"):
        prior.sample(1, Noise(0), 0.5)


def test_a_head_makes_directions_and_concentrations() -> None:
    head = SphereHead(3)
    posterior = head(torch.tensor([[0.0, 3.0, 4.0, -1000.0], [1.0, 0.0, 0.0, 1e9]]))
    torch.testing.assert_close(posterior.direction[0], torch.tensor([0.0, 0.6, 0.8]))
    assert posterior.concentration.tolist() == pytest.approx([0.01, 1e5])
    assert head.uniform().event_shape == head.event_shape == posterior.event_shape == (3,)


def test_a_decoder_is_given_vectors_of_length_one_whatever_latents_it_is_asked_for() -> None:
    encoder, decoder = MLPEncoder((4,), [5], SphereHead(3)), MLPDecoder((4,), [5], 3)
    model = VAE(encoder, decoder, SquaredError(), UniformOnSphere(3))
    z = UniformOnSphere(3)().sample(6, Noise(0))
    torch.testing.assert_close(model.decode(2.5 * z).mean, model.decode(z).mean)
