"""The learning rate and the warm-up of the objective as functions of the step."""

import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import spec_of

from vae_cli.settings import choose, merge
from vae_cli.training import constant, cosine, linear_warmup


def test_a_constant_schedule_rises_and_then_stays() -> None:
    rate = constant(2.0, 8, warmup=0.5)
    assert [rate(step) for step in range(8)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0]
    assert constant(1.0, 100)(0) == 1.0


def test_a_cosine_schedule_has_the_values_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    rate = cosine(0.3, 40)
    for step in range(40):
        assert rate(step) == pytest.approx(reference.get_last_lr()[0], abs=1e-12)
        with warnings.catch_warnings(action="ignore"):  # no step of the optimizer is taken
            reference.step()
    assert rate(0) == 0.3
    assert rate(20) == pytest.approx(0.15)
    assert rate(40) == pytest.approx(0)


@given(st.integers(2, 300), st.floats(0, 1, allow_subnormal=False))
def test_a_cosine_schedule_is_the_cosine_after_the_warm_up_and_a_share_of_it_before(
    total: int, warmup: float
) -> None:
    rate, whole = cosine(1.0, total, warmup), cosine(1.0, total)
    shares = [rate(step) / whole(step) for step in range(total)]
    assert all(one <= other + 1e-12 for one, other in pairwise(shares)), "it only rises"
    for step, share in enumerate(shares):
        expected = (step + 1) / (warmup * total) if step + 1 < warmup * total else 1
        assert share == pytest.approx(expected)


def test_the_warm_up_of_an_objective_has_these_values() -> None:
    once = linear_warmup(4)
    assert [once(step) for step in range(7)] == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    cycles = linear_warmup(2, cycles=3)
    rising_and_staying = [0, 0.5, 1, 1]
    expected = [*rising_and_staying, *rising_and_staying, 0, 0.5, 1, 1, 1, 1]
    assert [cycles(step) for step in range(14)] == expected


@pytest.mark.parametrize("network", ["mlp", "two-level", "conv", "hierarchical"])
def test_the_default_warm_up_is_five_percent_and_longer_in_a_short_training_of_a_conv(
    network: str,
) -> None:
    shape = (1, 16, 16)
    config = choose(merge(("", {"model": {"network": network}})), spec_of(shape))
    for total in (1, 6, 49, 100, 499, 500, 506, 9380):
        steps = [config.build_schedule(total)(step) for step in range(total)]
        is_short = network in {"conv", "hierarchical"} and total < 500
        share = min(25, total / 2) / total if is_short else 0.05
        assert steps == [cosine(5e-3, total, share)(step) for step in range(total)]
        tables = {"model": {"network": network}, "optimizer": {"warmup": 0.05}}
        typed = choose(merge(("", tables)), spec_of(shape))
        own = [typed.build_schedule(total)(step) for step in range(total)]
        assert own == [cosine(5e-3, total, 0.05)(step) for step in range(total)]
