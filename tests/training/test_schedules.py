"""The learning rate as a function of the step."""

from itertools import pairwise

import pytest

from vae_cli.settings import choose, merge
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


@pytest.mark.parametrize("network", ["mlp", "two-level", "conv", "hierarchical"])
def test_the_default_warm_up_is_five_percent_and_longer_in_a_short_training_of_a_conv(
    network: str,
) -> None:
    shape = (1, 16, 16)
    config = choose(merge(("", {"model": {"network": network}})), shape)
    for total in (1, 6, 49, 100, 499, 500, 506, 9380):
        steps = [config.build_schedule(total)(step) for step in range(total)]
        is_short = network in {"conv", "hierarchical"} and total < 500
        share = min(25, total / 2) / total if is_short else 0.05
        assert steps == [cosine(5e-3, total, share)(step) for step in range(total)]
        tables = {"model": {"network": network}, "optimizer": {"warmup": 0.05}}
        typed = choose(merge(("", tables)), shape)
        own = [typed.build_schedule(total)(step) for step in range(total)]
        assert own == [cosine(5e-3, total, 0.05)(step) for step in range(total)]
