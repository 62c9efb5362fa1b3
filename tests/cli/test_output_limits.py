"""A result that is too large to be written is refused before it is computed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support import Refused, Use

from vae_cli import load
from vae_cli.api.model import TrainedModel
from vae_cli.latent import decoding
from vae_cli.latent.decoding import sample
from vae_cli.noise import Noise
from vae_cli.rendering.grid import MAX_GRID_PIXELS, Layout, make_grid, measure_grid
from vae_cli.rendering.rows import MAX_VALUES


@pytest.fixture
def without_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that fails if anything is decoded."""
    for name in ("sample", "sample_loop", "traverse", "interpolate"):
        monkeypatch.setattr(TrainedModel, name, None)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["sample", "-n", 1_000_000], "a grid of 125000x8 tiles at scale 3 is too large"),
        (["sample", "-n", 1_000_000, "--scale", 1, "--columns", 1000], "a grid of 1000x1000 tiles"),
        (["sample", "-n", 1_000_000, "-o", "x.gif"], "an animation of 8,000,000 frames"),
        (
            ["traverse", "--dim", "all", "--silent", "--offset", "0:200:1", "--scale", 64],
            "a grid of 20x200",
        ),
        (
            ["interpolate", "--steps", 200, "--scale", 64, *["--class", "bag"] * 5],
            "a grid of 4x202",
        ),
    ],
)
def test_too_many_tiles_are_refused_before_they_are_decoded(
    words: list[object], reason: str, here: Path, without_computing: None, refused: Refused
) -> None:
    assert reason in refused(*words)


def test_too_many_rows_are_refused_before_they_are_decoded(
    here: Path, use: Use, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savetxt("x.csv", np.random.default_rng(0).random((40, 120)), delimiter=",")
    use("train", "--data", "x.csv", "--epochs", 1, "--name", "x", "--hidden", 4)
    use("sample", "-n", 2000, "--run", "x")
    assert Path("sample.csv").read_text().count("\n") == 2001
    monkeypatch.setattr(TrainedModel, "sample", None)
    most = f"{MAX_VALUES // 120:,}"
    line = refused("sample", "-n", 1_000_000, "--run", "x")
    assert line == f"sample.csv: 1,000,000 rows are too many: ask for {most} or fewer"


@pytest.mark.parametrize("scale", [None, 1, 5])
@pytest.mark.parametrize("shape", [(1, 1, 28, 28), (10, 3, 16, 20), (7, 1, 200, 100)])
def test_the_layout_has_the_size_of_the_picture(shape: tuple[int, ...], scale: int | None) -> None:
    layout = measure_grid(shape, Layout(columns=4, scale=scale))
    assert layout.size == make_grid(np.zeros(shape), Layout(columns=4, scale=scale)).size
    assert layout.size[0] * layout.size[1] <= MAX_GRID_PIXELS


def test_samples_do_not_depend_on_how_many_are_decoded_together(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(home / "runs/small").model
    together = sample(model, 50, Noise(3))
    monkeypatch.setattr(decoding, "chunk_length", lambda shape: 7)
    apart = sample(model, 50, Noise(3))
    torch.testing.assert_close(together, apart)
