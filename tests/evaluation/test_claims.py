"""Verdicts: a number within its tolerance, an order with a margin, and means over seeds."""

import pytest

from vae_cli.errors import UsageError
from vae_cli.evaluation.claims import judge, pool_runs
from vae_cli.runs.summary import Figure
from vae_cli.settings import Claim


@pytest.mark.parametrize(
    ("value", "holds"), [(-228.2, True), (-229.2, True), (-228.1, False), (-229.3, False)]
)
def test_a_number_holds_within_its_tolerance_on_both_sides(value: float, holds: bool) -> None:
    claim = Claim(figure="log_likelihood", expected=-228.7, tolerance=0.5)
    (verdict,) = judge(claim, {"a": Figure(value, 0.1)}, "a")
    assert verdict.holds == holds
    assert verdict.difference == pytest.approx(value + 228.7)


@pytest.mark.parametrize(("value", "holds"), [(-225.3, True), (-225.38, False), (-226.0, False)])
def test_a_number_is_beaten_by_a_higher_one(value: float, holds: bool) -> None:
    claim = Claim(figure="log_likelihood", beats=-225.38)
    (verdict,) = judge(claim, {"a": Figure(value, 0.1)}, "a")
    assert verdict.holds == holds
    assert verdict.difference == pytest.approx(value + 225.38)


@pytest.mark.parametrize(
    ("by", "holds"), [(0.0, [True, True]), (0.5, [True, False]), (-0.5, [True, True])]
)
def test_an_order_holds_with_its_margin_against_each_other_experiment(
    by: float, holds: list[bool]
) -> None:
    claim = Claim(figure="psnr", above=("b", "c"), by=by)
    figures = {"a": Figure(20.0, 0.1), "b": Figure(19.0, 0.1), "c": Figure(19.75, 0.1)}
    verdicts = judge(claim, figures, "a")
    assert [one.holds for one in verdicts] == holds
    assert [one.difference for one in verdicts] == [1.0, 0.25]


def test_runs_with_several_seeds_are_judged_by_their_mean() -> None:
    runs = [{"elbo": Figure(value, 9.0)} for value in (1.0, 2.0, 3.0, 4.0)]
    assert pool_runs(runs, "elbo") == (2.5, pytest.approx((5 / 3) ** 0.5 / 2))
    assert pool_runs(runs[:1], "elbo") == Figure(1.0, 9.0)


def test_a_missing_figure_is_said_to_be_missing() -> None:
    with pytest.raises(UsageError, match="no figure mig_chen"):
        pool_runs([{"mig_chen": Figure(1.0, None)}, {}], "mig_chen")
