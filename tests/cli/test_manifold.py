"""`vae manifold`, and the map of a plane of latents."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Refused, Use

from vae_cli import load
from vae_cli.rendering import map as maps

Read = Callable[..., np.ndarray]


def test_each_tile_is_the_decoded_point_of_the_plane(use: Use, tiles: Read) -> None:
    words = ("manifold", "-n", 3, "--dim", 2, "--dim", 5, "--scale", 1)
    said = json.loads(use(*words, "--json").out)
    assert said["dims"] == [2, 5]
    assert said["values"] == [-v for v in reversed(said["values"])]
    low, _, high = said["values"]
    z = np.zeros((2, 20), np.float32)
    z[0, 2], z[0, 5] = low, high  # left, top
    z[1, 2], z[1, 5] = high, low  # right, bottom
    expected = 255 * load("small").decode(z)[:, 0]
    grid = tiles("manifold.png")
    assert abs(grid[0, 0] - expected[0]).max() <= 1
    assert abs(grid[2, 2] - expected[1]).max() <= 1
    assert abs(grid[0, 0] - grid[2, 2]).max() > 10


def test_the_two_most_informative_dimensions_are_the_default(use: Use) -> None:
    kl = load("small").kl_by_dim
    said = use("manifold", "-n", 2)
    expected = sorted(kl.topk(2).indices.tolist())
    assert json.loads(use("manifold", "-n", 2, "--json").out)["dims"] == expected
    assert f"left to right: dimension {expected[0]} (" in said.err
    assert said.out == "manifold.png\n"


def test_the_plane_of_a_table_has_its_latents_before_its_columns(use: Use, wine: Path) -> None:
    use("manifold", "-n", 3, "--dim", "4,1", "--run", "wine", "-o", "plane.csv")
    rows = list(csv.DictReader(Path("plane.csv").read_text().splitlines()))
    assert len(rows) == 9
    assert list(rows[0])[:2] == ["z4", "z1"]
    assert list(rows[0])[2:] == list(load("wine").spec.column_names)
    assert float(rows[0]["z4"]) < 0 < float(rows[0]["z1"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--dim", "3"], "--dim 3: name two different dimensions"),
        (["--dim", "3,3"], "--dim 3,3: name two different dimensions"),
        (["--dim", "all"], "--dim all: name two different dimensions"),
        (["--dim", "1,20"], "--dim 20: choose 0 to 19, or all"),
        (["-o", "a.gif"], "--output a.gif: end it with .png"),
        (["-n", "200", "--scale", "64"], "a grid of 200x200 tiles at scale 64 is too large"),
    ],
)
def test_other_planes_are_refused(
    here: Path, refused: Refused, words: list[str], line: str
) -> None:
    assert refused("manifold", *words).startswith(line)


def test_the_map_of_two_latents_is_their_plane(
    use: Use, wine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--latent-dim", 2, "--epochs", 1, "--precision", "float32", "--name", "flat")
    use("train", "--data", "wine.csv", *words)
    drawn: list[tuple[Any, ...]] = []

    def draw(*words: Any, **_texts: Any) -> bytes:
        drawn.append(words)
        return b""

    monkeypatch.setattr(maps, "render_map", draw)
    use("embed", "--run", "flat", "--plot", "map.png")
    use("embed", "--run", "flat", "--plot", "map.png", "--method", "pca")
    coordinates, axes, *_ = drawn[0]
    assert axes == ("z0", "z1")
    with np.load("embed.npz") as arrays:
        assert (coordinates == arrays["mean"]).all()
    assert drawn[1][1][0].startswith("PC 1 ")
