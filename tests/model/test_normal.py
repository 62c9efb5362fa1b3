"""The diagonal normal distribution against closed forms, sampling and torch."""

import math

import pytest
import torch
from torch import Generator

from vae_cli.model import DiagonalNormal
from vae_cli.noise import Noise


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
