"""Rejection sampling: the distribution of what is accepted, its rate, and its end."""

import pytest
import torch
from torch import Tensor

from vae_cli.latent.rejection import MAX_DRAWS, Accepted, sample_accepted


def sample_normal(low: float, count: int, limit: int = 10**7) -> tuple[Accepted, list[int]]:
    """Normal numbers above a limit, and the sizes of the draws."""
    generator, sizes = torch.Generator().manual_seed(0), []

    def draw(size: int) -> Tensor:
        sizes.append(size)
        return torch.randn(size, generator=generator, dtype=torch.float64)

    found = sample_accepted(
        draw, lambda x: x > low, count, limit=limit, progress=lambda done, total: None
    )
    return found, sizes


def test_accepted_items_have_the_conditional_distribution() -> None:
    found, sizes = sample_normal(1.0, 50_000)
    density = torch.distributions.Normal(0.0, 1.0)
    tail = 1 - density.cdf(torch.tensor(1.0))
    assert found.rate == pytest.approx(tail.item(), rel=0.02)
    expected = density.log_prob(torch.tensor(1.0)).exp() / tail  # E[x | x > 1]
    assert found.items.mean().item() == pytest.approx(expected.item(), rel=0.01)
    assert len(found.items) == 50_000
    assert found.items.min() > 1
    assert sum(sizes) == found.draws < 1.2 * 50_000 / tail
    assert max(sizes) <= MAX_DRAWS


def test_the_end_is_kept_to_the_draw_and_what_was_found_is_returned() -> None:
    found, sizes = sample_normal(3.0, 1000, limit=10_001)
    assert found.draws == sum(sizes) == 10_001
    assert 0 < len(found.items) == found.accepted < 40
    nothing, _ = sample_normal(9.0, 1, limit=500)
    assert (len(nothing.items), nothing.rate) == (0, 0)
