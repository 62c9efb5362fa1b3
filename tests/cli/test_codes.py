"""Codes, and latents on a grid, in the commands: figures, scores, and what needs vectors."""

import json
from pathlib import Path

import pytest
from support import Refused, Use

from vae_cli import load
from vae_cli.errors import UsageError

OF_RUNS = {"codes": "--posterior rvq", "grid": "--set model.grid=true"}


@pytest.fixture
def runs(here: Path, use: Use) -> None:
    """A run whose latents are codes on a grid, and one of normal latents on a grid."""
    train = ("train", "--data", "shapes-32", "--limit", 120, "--epochs", 1, "-q")
    grid = ("--model", "conv", "--set", "model.grid=true", "--latent-dim", 2)
    codes = ("--posterior", "rvq", "--set", "posterior.codebook=8", "--set", "posterior.stages=2")
    use(*train, "--name", "codes", *grid, *codes)
    use(*train, "--name", "grid", *grid)


@pytest.mark.slow
@pytest.mark.usefixtures("runs")
def test_codes_and_grids_are_evaluated_and_scored(use: Use) -> None:
    for run in OF_RUNS:
        found = json.loads(use("evaluate", "--run", run, "--samples", 2, "--json").out)
        figures = found["figures"]
        assert ("bits" in figures) == ("codes_used" in figures) == (run == "codes")
        assert ("active_units" in found["absent"]) == (run == "codes")
        scores = json.loads(
            use("score", "--run", run, "--samples", 2, "-o", f"{run}.csv", "--json").out
        )
        assert scores.get("code_prior") == ("uniform" if run == "codes" else None)
        elbo = -sum(figures[name]["value"] for name in ("distortion", "kl"))
        assert figures["elbo"]["value"] == pytest.approx(elbo)


@pytest.mark.slow
@pytest.mark.usefixtures("runs")
def test_what_needs_vectors_names_the_setting(refused: Refused) -> None:
    for run, setting in OF_RUNS.items():
        for command in ("traverse", "interpolate", "manifold"):
            said = refused(command, "--run", run)
            assert f"vae {command} needs latents that are vectors" in said
            assert setting in said
            assert "vae reconstruct" in said
        assert "an animation needs latents" in refused("sample", "--run", run, "-o", "all.gif")
        model = load(run)
        x = model.held_out().items_at(range(2))
        for ask in (
            lambda model=model, x=x: model.traverse(x[:1], [-1.0, 1.0], [0]),
            lambda model=model, x=x: model.interpolate(x),
            lambda model=model: model.sample_loop(2, 2),
        ):
            with pytest.raises(UsageError, match="needs latents that are vectors"):
                ask()
    assert "take --sampler prior" in refused("sample", "--run", "grid", "--sampler", "gmm")
