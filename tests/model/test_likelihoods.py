"""Every likelihood: normalization, torch's densities, samples, and its own figure."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import Laplace as TorchLaplace
from torch.distributions import Normal

from vae_cli.model import (
    Bernoulli,
    DiscretizedLogistic,
    Laplace,
    Likelihood,
    SharedGaussian,
    SquaredError,
)
from vae_cli.model.likelihoods import HalfVarianceNormal
from vae_cli.noise import Noise

LEVELS = torch.arange(256) / 255
IMAGE_LIKELIHOODS: dict[str, Callable[[], Likelihood]] = {
    "mse": SquaredError,
    "gaussian-learned": lambda: SharedGaussian(is_optimal=False),
    "gaussian-optimal": lambda: SharedGaussian(is_optimal=True),
    "bernoulli": lambda: Bernoulli(is_binary=False),
    "binarized": lambda: Bernoulli(is_binary=True),
    "laplace": Laplace,
    "logistic": lambda: DiscretizedLogistic(3),
}
each_likelihood = pytest.mark.parametrize("make", IMAGE_LIKELIHOODS.values(), ids=IMAGE_LIKELIHOODS)


def outputs_for(likelihood: Likelihood, *batch: int, shape: tuple[int, ...] = (1, 2, 2)) -> Tensor:
    channels = shape[0] * likelihood.outputs_per_value
    return torch.randn(*batch, channels, *shape[1:], generator=Generator().manual_seed(0))


@each_likelihood
@torch.no_grad()
def test_the_probabilities_of_a_pixel_sum_or_integrate_to_one(
    make: Callable[[], Likelihood],
) -> None:
    likelihood = make().eval()
    outputs = outputs_for(likelihood, 1, shape=(1, 1, 1))
    if isinstance(likelihood, Bernoulli):
        values, width = torch.tensor([0.0, 1.0]), 1.0
    elif likelihood.is_discrete:
        values, width = LEVELS, 1.0
    else:
        values, width = torch.linspace(-40, 40, 80_001), 1e-3
    distribution = likelihood(outputs.expand(len(values), -1, -1, -1))
    total = distribution.log_prob(values.view(-1, 1, 1, 1)).double().exp().sum() * width
    assert total == pytest.approx(1, abs=1e-4)


@each_likelihood
def test_a_likelihood_takes_any_axes_in_front(make: Callable[[], Likelihood]) -> None:
    likelihood, shape = make().eval(), (3, 4, 5)
    outputs = outputs_for(likelihood, 2, 6, shape=shape)
    x = (torch.rand(6, *shape) * 255).round() / 255
    many = likelihood(outputs)
    assert many.mean.shape == (2, 6, *shape)
    assert many.log_prob(x).shape == (2, 6)
    for sample in range(2):
        one = likelihood(outputs[sample])
        torch.testing.assert_close(one.distortion(x), many.distortion(x)[sample])
    constant = many.log_prob(x) + many.distortion(x)
    torch.testing.assert_close(constant, constant[:1, :1].expand(2, 6), rtol=0, atol=1e-3)


@each_likelihood
@torch.no_grad()
def test_samples_have_the_mean_of_the_distribution(make: Callable[[], Likelihood]) -> None:
    likelihood = make().eval()
    outputs = 0.3 * outputs_for(likelihood, 1, shape=(1, 1, 1))
    samples = likelihood(outputs.expand(20_000, -1, -1, -1)).sample(Noise(0))
    expected = likelihood(outputs).mean
    if likelihood.is_discrete:  # the mean of what is left when a mixture is cut to 0 to 255
        probabilities = likelihood(outputs).log_prob(LEVELS.view(-1, 1, 1, 1)).exp()
        expected = (probabilities * LEVELS).sum()
        torch.testing.assert_close(samples, (samples * 255).round() / 255)
    assert samples.mean().item() == pytest.approx(expected.item(), abs=0.02)


@each_likelihood
def test_the_output_bias_gives_the_mean_it_was_asked_for(make: Callable[[], Likelihood]) -> None:
    likelihood, mean = make().eval(), torch.tensor([0.1, 0.5, 0.8]).view(3, 1, 1)
    outputs = likelihood.outputs_for(mean)
    assert outputs.shape == (3 * likelihood.outputs_per_value, 1, 1)
    torch.testing.assert_close(likelihood(outputs[None]).mean[0], mean, rtol=0, atol=1e-3)


def test_squared_errors_are_a_normal_distribution_with_variance_one_half() -> None:
    x, mean = torch.rand(2, 4, 3, 8, 6, generator=Generator().manual_seed(0))
    expected = Normal(mean, math.sqrt(0.5)).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(HalfVarianceNormal(mean).log_prob(x), expected)
    squared_error = ((x - mean) ** 2).sum((1, 2, 3))
    torch.testing.assert_close(HalfVarianceNormal(mean).distortion(x), squared_error)


@torch.no_grad()
def test_gaussian_and_laplace_agree_with_torch() -> None:
    x, outputs = torch.rand(2, 4, 1, 3, 3, generator=Generator().manual_seed(0))
    gaussian, laplace = SharedGaussian(is_optimal=False), Laplace()
    gaussian.log_variance.fill_(-1.5)
    mean = outputs.sigmoid()
    expected = Normal(mean, math.exp(-0.75)).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(gaussian(outputs).log_prob(x), expected)
    expected = TorchLaplace(mean, math.exp(-1)).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(laplace(outputs).log_prob(x), expected)


def test_the_optimal_scale_is_that_with_the_least_loss() -> None:
    """Rybkin et al. (2021), eq. 8: σ² is the mean squared error of the batch."""
    x, outputs = torch.rand(2, 64, 1, 4, 4, generator=Generator().manual_seed(0))
    optimal, learned = SharedGaussian(is_optimal=True), SharedGaussian(is_optimal=False)
    error = ((x - outputs.sigmoid()) ** 2).mean()
    with torch.no_grad():
        learned.log_variance.fill_(float(error.log()))
        torch.testing.assert_close(optimal(outputs).distortion(x), learned(outputs).distortion(x))
        for other in (-0.1, 0.1):
            learned.log_variance.fill_(float(error.log()) + other)
            assert learned(outputs).distortion(x).sum() > optimal(outputs).distortion(x).sum()


def test_the_parameter_follows_the_optimal_scale_and_is_what_the_evaluation_uses() -> None:
    x, outputs = torch.rand(2, 64, 1, 4, 4, generator=Generator().manual_seed(0))
    likelihood = SharedGaussian(is_optimal=True)
    descent = torch.optim.SGD(likelihood.parameters(), 0.05)
    for _ in range(300):
        descent.zero_grad()
        likelihood(outputs).distortion(x).mean().backward()
        descent.step()
    optimal = ((x - outputs.sigmoid()) ** 2).mean().log()
    torch.testing.assert_close(likelihood.log_variance.detach(), optimal, rtol=1e-3, atol=1e-3)
    alone = likelihood.eval()(outputs[:1]).distortion(x[:1])
    torch.testing.assert_close(alone, likelihood(outputs).distortion(x)[:1])


@pytest.mark.parametrize("beta", [0.1, 4.0])
def test_a_fixed_scale_is_a_weight_of_the_kl_of_the_squared_error(beta: float) -> None:
    """With sigma squared = beta / 2, beta times the distortion is the squared error and a constant.

    So the loss is that of the squared error with the weight beta of the KL, divided by beta.
    """
    outputs, x = torch.randn(2, 5, 1, 4, 4).unbind(0)
    x = torch.sigmoid(x)
    fixed = SharedGaussian(sigma=math.sqrt(beta / 2))
    assert not list(fixed.parameters())
    scaled = beta * fixed(outputs).distortion(x)
    differences = scaled - SquaredError()(outputs).distortion(x)
    assert differences.allclose(differences[:1].expand(5), atol=1e-5)


def test_cross_entropy_on_grey_is_the_expected_figure_of_black_and_white() -> None:
    grey, outputs = torch.rand(2, 1, 1, 3, 3, generator=Generator().manual_seed(0))
    likelihood = Bernoulli(is_binary=True)
    many = grey.expand(100_000, 1, 3, 3)
    drawn = torch.bernoulli(many, generator=Generator().manual_seed(1))
    distribution = likelihood(outputs)
    averaged = likelihood(outputs.expand_as(drawn)).distortion(drawn).mean(0, keepdim=True)
    torch.testing.assert_close(averaged, distribution.distortion(grey), rtol=5e-3, atol=0)


def test_the_logistic_mixture_is_exact_in_the_tails() -> None:
    """A narrow component far away: the probability is tiny, and its logarithm still finite."""
    likelihood = DiscretizedLogistic(1)
    outputs = torch.tensor([0.0, 0.4, -6.0]).view(1, 3, 1, 1).requires_grad_()
    values = LEVELS.view(-1, 1, 1, 1)
    log_prob = likelihood(outputs).log_prob(values)
    assert log_prob.isfinite().all()
    (gradient,) = torch.autograd.grad(log_prob.sum(), outputs)
    assert gradient.isfinite().all()
