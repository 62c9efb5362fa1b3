"""Every prior against sampling, torch, and its own definition."""

from collections.abc import Callable

import pytest
import torch
from models import mlp_vae
from torch import Generator, Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.model import (
    DiagonalNormal,
    MixtureOfNormals,
    Prior,
    RealNVP,
    StandardNormal,
    VampPrior,
    kl,
    kl_by_dim,
    kl_by_group,
)
from vae_cli.noise import Noise


def perturbed(prior: Prior) -> Prior:
    """A prior in float64 whose parameters are not those it starts with."""
    torch.manual_seed(1)
    for parameter in prior.parameters():
        nn.init.normal_(parameter, std=0.4)
    return prior.double()


def encode(items: Tensor) -> DiagonalNormal:
    return DiagonalNormal(3 * items - 1, items - 2)


PRIORS: dict[str, Callable[[], Prior]] = {
    "normal": lambda: StandardNormal(2).double(),
    "mog": lambda: perturbed(MixtureOfNormals(2, 5)),
    "realnvp": lambda: perturbed(RealNVP(2, layers=4, hidden=8)),
    "vamp": lambda: VampPrior(encode, torch.rand(5, 2).double(), 2, is_image=True),
}
each_prior = pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)


@each_prior
@torch.no_grad()
def test_the_density_integrates_to_one(make: Callable[[], Prior]) -> None:
    axis = torch.linspace(-14, 14, 1401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    step = axis[1] - axis[0]
    assert make()().log_prob(grid).exp().sum() * step**2 == pytest.approx(1, abs=2e-3)


@each_prior
@torch.no_grad()
def test_samples_have_the_moments_of_the_density(make: Callable[[], Prior]) -> None:
    prior = make()()
    axis = torch.linspace(-14, 14, 1401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mass = prior.log_prob(grid).exp() * (axis[1] - axis[0]) ** 2
    mean = (mass[:, None] * grid).sum(0)
    second = (mass[:, None] * grid**2).sum(0)
    samples = prior.sample(200_000, Noise(0)).double()
    assert samples.shape == (200_000, 2)
    torch.testing.assert_close(samples.mean(0), mean, rtol=0, atol=0.05)
    torch.testing.assert_close((samples**2).mean(0), second, rtol=0.03, atol=0.03)


@each_prior
@torch.no_grad()
def test_a_temperature_of_0_leaves_the_centres_of_the_density(make: Callable[[], Prior]) -> None:
    prior = make()()
    cold, warm = (prior.sample(1000, Noise(0), t) for t in (0.0, 1.0))
    assert len(cold.unique(dim=0)) <= 5, "one for each component"
    assert prior.log_prob(cold).mean() > prior.log_prob(warm).mean() + 0.5
    assert warm.equal(prior.sample(1000, Noise(0)))


@each_prior
def test_the_kl_agrees_with_an_estimate_from_samples(make: Callable[[], Prior]) -> None:
    prior = make()()
    mean, log_variance = torch.randn(2, 4, 2, generator=Generator().manual_seed(0)).double()
    posterior = DiagonalNormal(mean, log_variance)
    z = posterior.rsample(100_000, Noise(1))
    with torch.no_grad():
        estimate = (posterior.log_prob(z) - prior.log_prob(z)).mean(0)
        torch.testing.assert_close(kl(posterior, prior, z), estimate, rtol=0.02, atol=0.02)


def test_only_a_closed_form_gives_the_kl_by_dimension() -> None:
    posterior = DiagonalNormal(torch.zeros(4, 2), torch.zeros(4, 2))
    z, mixture = posterior.rsample(3, Noise(0)), MixtureOfNormals(2, 3)()
    assert kl_by_group(posterior, StandardNormal(2)(), z).shape == (4, 2)
    assert kl_by_group(posterior, mixture, z).shape == (4, 1)
    by_dim = kl_by_dim(posterior, mixture)
    assert by_dim is not None
    assert by_dim.abs().max() < 1e-6, "equal posteriors tell nothing about the items"


def test_the_inverse_of_a_flow_inverts() -> None:
    flow = perturbed(RealNVP(5, layers=6, hidden=16))
    assert isinstance(flow, RealNVP)
    z = 2 * torch.randn(50, 5, dtype=torch.float64)
    noise, log_determinant = flow.to_noise(z)
    torch.testing.assert_close(flow.from_noise(noise), z)
    jacobian = torch.func.jacrev(lambda one: flow.to_noise(one)[0])(z[0])
    torch.testing.assert_close(log_determinant[0], torch.linalg.slogdet(jacobian).logabsdet)


def test_a_new_flow_is_the_standard_normal() -> None:
    z = torch.randn(7, 4)
    flow, normal = RealNVP(4, layers=3, hidden=8), StandardNormal(4)
    torch.testing.assert_close(flow().log_prob(z), normal().log_prob(z))


def test_a_vamp_prior_with_the_data_as_pseudo_inputs_is_the_aggregated_posterior() -> None:
    encoder, images = mlp_vae().encoder, torch.rand(6, 1, 6, 5)
    prior = VampPrior(encoder.forward, images, 3, is_image=True)
    posterior, z = encoder(images), torch.randn(9, 3)
    each = DiagonalNormal(posterior.mean[:, None], posterior.log_variance[:, None]).log_prob(z)
    torch.testing.assert_close(prior().log_prob(z), each.exp().mean(0).log(), rtol=1e-4, atol=1e-4)


def test_a_mixture_with_one_component_is_that_component() -> None:
    prior, z = MixtureOfNormals(3, 1), torch.randn(5, 3)
    torch.testing.assert_close(
        prior().log_prob(z), DiagonalNormal(prior.mean[0], prior.log_variance[0]).log_prob(z)
    )


def test_pseudo_inputs_are_held_in_the_range_of_pixels() -> None:
    inputs = torch.tensor([[-1.0, 0.5], [2.0, 0.25]])
    prior = VampPrior(encode, inputs, 2, is_image=True)
    expected = encode(torch.tensor([[0.0, 0.5], [1.0, 0.25]]))
    assert prior().components.mean.equal(expected.mean)
    assert VampPrior(encode, inputs, 2, is_image=False)().components.mean.equal(encode(inputs).mean)


def test_the_encoder_gets_no_second_set_of_weights() -> None:
    model = mlp_vae()
    prior = VampPrior(model.encoder.forward, torch.rand(4, 1, 6, 5), 3, is_image=True)
    assert [*prior.state_dict()] == ["pseudo_inputs"]


def test_pseudo_inputs_are_encoded_once_in_a_pass_and_in_its_precision() -> None:
    model, passes = mlp_vae(), []
    model.prior = VampPrior(model.encoder.__call__, torch.rand(4, 1, 6, 5), 3, is_image=True)
    model.encoder.register_forward_hook(
        lambda _, items, __: passes.append((len(items[0]), torch.is_autocast_enabled("cpu")))
    )
    with torch.autocast("cpu", torch.bfloat16):
        inference = model.infer(Batch(torch.rand(7, 1, 6, 5)), 2, Noise(0))
    inference.kl(), inference.log_ratio()
    assert passes == [(7, True), (4, True)]
