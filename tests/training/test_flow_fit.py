"""Fitting a flow: it finds what no normal distribution is, and a fit that was stopped goes on."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.latent.flow_matching import FittedFlow
from vae_cli.model import DiagonalNormal
from vae_cli.noise import Noise
from vae_cli.training import flow_fit
from vae_cli.training.flow_fit import FlowFit


def clouds(count: int, seed: int) -> Tensor:
    """Eight narrow clouds around a circle, of which every second one has three times the points."""
    generator = Generator().manual_seed(seed)
    weights = torch.tensor([3.0, 1.0]).repeat(4)
    angle = math.pi / 4 * torch.multinomial(weights, count, replacement=True, generator=generator)
    centres = 4 * torch.stack([angle.cos(), angle.sin()], 1)
    return 7 + centres + 0.25 * torch.randn(count, 2, generator=generator)


def moons(count: int, seed: int) -> Tensor:
    """Two half circles that reach into each other, with a third dimension that is their sum."""
    generator = Generator().manual_seed(seed)
    angle = math.pi * torch.rand(count, generator=generator)
    side = torch.where(torch.rand(count, generator=generator) < 0.5, 1.0, -1.0)
    x = side * angle.cos() + 0.5 * (1 - side)
    y = side * angle.sin() + 0.25 * (1 - side)
    points = torch.stack([x, y, x + y], 1)
    return points + 0.05 * torch.randn(count, 3, generator=generator)


def energy_distance(first: Tensor, second: Tensor) -> float:
    """2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖ (Székely & Rizzo, 2013): 0 for equal distributions."""

    def within(points: Tensor) -> Tensor:
        return torch.cdist(points, points).sum() / (len(points) * (len(points) - 1))

    return (2 * torch.cdist(first, second).mean() - within(first) - within(second)).item()


@pytest.mark.parametrize("draw", [clouds, moons])
def test_samples_are_like_other_points_and_not_like_a_normal_distribution(
    draw: Callable[[int, int], Tensor],
) -> None:
    points, others = draw(4000, 0), draw(4000, 1)
    posterior = DiagonalNormal(points, torch.full_like(points, -8.0))
    normal = FittedFlow(points.shape[1]).whiten(posterior).sample(4000, Noise(2))
    samples = FlowFit(points.shape[1], len(points), seed=0).run(posterior).sample(4000, Noise(2))
    torch.testing.assert_close(samples.mean(0), others.mean(0), atol=0.2, rtol=0)
    torch.testing.assert_close(samples.T.cov(), others.T.cov(), atol=0.5, rtol=0.1)
    assert energy_distance(samples, others) < 0.1 * energy_distance(normal, others)
    gaps = [(torch.cdist(some, points).amin(1) > 0.4).double().mean() for some in (normal, samples)]
    assert gaps[0] > 0.1
    assert gaps[1] < 0.2 * gaps[0]


def test_a_flow_is_fitted_to_the_posteriors_and_not_to_their_means() -> None:
    posterior = DiagonalNormal(torch.tensor([[-2.0], [2.0]]), torch.full((2, 1), math.log(0.25)))
    samples = FlowFit(1, 2, seed=0).run(posterior).sample(20_000, Noise(1))[:, 0]
    for side in (-1, 1):
        cloud = samples[samples.sign() == side]
        assert len(cloud) == pytest.approx(10_000, rel=0.1)
        assert cloud.mean().item() == pytest.approx(2 * side, abs=0.1)
        assert cloud.std().item() == pytest.approx(0.5, abs=0.07)


def test_a_fit_that_was_stopped_ends_as_one_that_never_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow_fit, "MIN_STEPS", 150)
    posterior = DiagonalNormal(clouds(200, 0), torch.full((200, 2), -3.0))
    whole, first, second = (FlowFit(2, 200, seed) for seed in (0, 0, 1))
    whole.run(posterior)

    def stop(done: int, total: int) -> None:
        assert total == 150
        if done == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.run(posterior, stop)
    second.restore({name: tensor.clone() for name, tensor in first.tensors().items()})
    assert second.step == 50
    second.run(posterior)
    expected = whole.tensors()
    for name, tensor in second.tensors().items():
        assert tensor.equal(expected[name]), name


def test_latents_of_another_place_and_size_give_the_same_flow_at_that_place_and_size() -> None:
    """Mean and covariance are taken out first, so the network sees the same points."""
    points = clouds(500, 0)
    samples = []
    for scale, shift in ((1.0, 0.0), (64.0, -1000.0)):  # exact in float32, nearly
        log_variance = torch.full_like(points, math.log(scale**2 * 0.01))
        fit = FlowFit(2, len(points), 0)
        fit.steps = 50
        flow = fit.run(DiagonalNormal(scale * points + shift, log_variance))
        samples.append((flow.sample(200, Noise(1)) - shift) / scale)
    torch.testing.assert_close(samples[1], samples[0], rtol=0, atol=0.01)
