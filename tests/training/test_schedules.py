"""The learning rate as a function of the step."""

from itertools import pairwise

import pytest

from vae_cli.training import constant, cosine


def test_a_constant_schedule_rises_and_then_stays() -> None:
    rate = constant(1.0, 100, warmup=0.1)
    assert [rate(0), rate(4), rate(9), rate(99)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert constant(1.0, 100)(0) == 1.0


def test_a_cosine_schedule_rises_and_then_falls_to_zero() -> None:
    rate = cosine(1.0, 100, warmup=0.1)
    rates = [rate(step) for step in range(100)]
    assert max(rates) > 0.95
    assert rates[50] == pytest.approx(0.5)
    assert rates[99] < 1e-3
    assert rates[:10] == sorted(rates[:10])
    assert all(before > after for before, after in pairwise(rates[9:]))
