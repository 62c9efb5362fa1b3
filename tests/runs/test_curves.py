"""The numbers behind the plots of several runs."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vae_cli.errors import UsageError
from vae_cli.runs.compare import (
    Spread,
    collect_curves,
    collect_rates,
    find_rate,
    part_columns,
    terms_of,
)
from vae_cli.runs.directory import create_run
from vae_cli.runs.summary import RunSummary, summarize_run
from vae_cli.settings import merge

Make = Callable[..., RunSummary]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make(name, losses, beta=1.0, seed=0)`: a run with one row of metrics for each loss."""

    def make_run(
        name: str, losses: list[float], distortion: str = "mse", **settings: Any
    ) -> RunSummary:
        tables = {
            "objective": {"beta": settings.get("beta", 1.0)},
            "model": {"latent_dim": settings.get("dim", 20)},
            "training": {"seed": settings.get("seed", 0)},
        }
        run = create_run(merge(("", tables)), name, tmp_path)
        header = f"epoch,train_kl,test_kl,test_{distortion},test_loss,active_dims,seconds"
        rows = [f"{n},{x},{x / 4},{x / 2},{x},3,0.1" for n, x in enumerate(losses, 1)]
        run.metrics_file.write_text("\n".join([header, *rows]))
        return summarize_run(run)

    return make_run


def test_a_curve_is_the_mean_over_seeds_with_their_deviation(make: Make) -> None:
    runs = [make("a", [4, 3]), make("b", [6, 4, 2], seed=1), make("c", [8], seed=2)]
    (curve,) = collect_curves(runs)
    assert (curve.label, curve.runs, curve.epochs) == ("3 runs", ["a", "b", "c"], [1, 2, 3])
    assert curve.columns["test_loss"] == [
        Spread(6, 2, 3),
        Spread(3.5, statistics.stdev([3, 4]), 2),
        Spread(2, None, 1),
    ]


def test_curves_are_told_apart_by_the_settings_that_differ(make: Make) -> None:
    runs = [make(f"b{b}-{d}", [4, 3], beta=b, dim=d) for b in (2.0, 0.5) for d in (10, 2)]
    labels = [curve.label for curve in collect_curves(runs)]
    assert labels == [f"latent-dim {d}, beta {b}" for d in (2, 10) for b in ("0.5", "2")]
    assert [curve.label for curve in collect_curves(runs[:1])] == ["b2.0-10"]


def test_the_terms_are_those_of_the_files(make: Make) -> None:
    curves = collect_curves([make("a", [4]), make("b", [4], distortion="nll", beta=2.0)])
    assert terms_of(curves) == ["kl", "mse", "loss", "nll"]


def test_other_parts_and_more_terms_are_found_by_their_names(make: Make) -> None:
    run = make("a", [4])
    run.run.metrics_file.write_text(
        "epoch,train_kl,train_tc,train_nll,train_loss,validation_kl,validation_tc,validation_nll,"
        "validation_loss,validation_elbo,active_dims\n1,1,2,3,4,5,6,7,8,9,10\n"
    )
    (curve,) = collect_curves([run])
    assert curve.held_out == "validation"
    assert terms_of([curve]) == ["kl", "tc", "nll", "loss", "elbo"]
    assert part_columns(curve)["held out", "tc"] == "validation_tc"
    (point,) = collect_rates([summarize_run(run.run)])
    assert (point.rate.mean, point.distortion.mean) == (5, 7)


def test_a_run_without_metrics_is_named(make: Make) -> None:
    with pytest.raises(UsageError, match="run a has no metrics yet"):
        collect_curves([make("a", [])])


def test_the_rate_and_the_distortion_are_those_of_the_best_epoch(make: Make) -> None:
    runs = [
        make(f"b{b}-{s}-{d}", [9, 4 * b + s, 9], beta=b, seed=s, dim=d)
        for d in (2, 10)
        for b in (1.0, 0.5)
        for s in (0, 2)
    ]
    points = collect_rates(runs)
    assert [(point.line, point.label) for point in points] == [
        (f"latent-dim {d}", f"beta {b}") for d in (2, 10) for b in ("0.5", "1")
    ]
    assert points[0].rate == Spread(0.75, statistics.stdev([0.5, 1.0]), 2)
    assert points[0].distortion.mean == 1.5


def test_runs_with_different_distortions_have_no_common_plane(make: Make) -> None:
    with pytest.raises(UsageError, match="no KL and distortion in common"):
        collect_rates([make("a", [4]), make("b", [4], distortion="nll", beta=2.0)])
    assert find_rate([make("c", [4], distortion="bce")]) == ("test_kl", "test_bce")
