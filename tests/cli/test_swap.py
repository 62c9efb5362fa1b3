"""`vae swap`."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Refused, Use

from vae_cli import load

Read = Callable[..., np.ndarray]


def test_each_line_has_an_item_its_reconstruction_and_the_exchange(use: Use, tiles: Read) -> None:
    said = json.loads(use("swap", "--dim", 3, "--scale", 1, "--json").out)
    assert [one["label"] for one in said["items"]] == ["T-shirt/top", "Ankle boot"]
    assert all(one["image"] == f"{one['name']} {one['label']}" for one in said["items"])
    first, second = (one["image"] for one in said["items"])
    assert first.endswith("T-shirt/top")
    assert second.endswith("Ankle boot")
    grid = tiles("swap.png")
    assert grid.shape[:2] == (2, 3)
    model = load("small")
    items = model.held_out().items[[int(name.split()[0]) for name in (first, second)]]
    mean = model.encode(items).mean
    (record,) = said["exchanged"]
    assert [record["first"], record["second"]] == pytest.approx(mean[:, 3].tolist())
    mean[:, 3] = mean[::-1, 3].copy()
    assert abs(grid[:, 0] - items[:, 0].numpy()).max() == 0
    assert abs(grid[:, 2] - 255 * model.decode(mean)[:, 0]).max() <= 1


def test_with_all_dimensions_each_becomes_the_other(use: Use, tiles: Read) -> None:
    use("swap", "--dim", "all", "--class", "bag", "--class", "coat", "--scale", 1)
    grid = tiles("swap.png")
    assert abs(grid[:, 2] - grid[::-1, 1]).max() <= 1
    assert abs(grid[0, 1] - grid[1, 1]).max() > 10


def test_the_most_informative_dimension_is_the_default(use: Use) -> None:
    use("sample", "-n", 1, "-o", "a.png", "--seed", 1, "--scale", 1)
    use("sample", "-n", 1, "-o", "b.png", "--seed", 2, "--scale", 1)
    header, row, path = use("swap", "a.png", "b.png").out.splitlines()
    assert header.split() == ["dimension", "KL", "(nats)", "a.png", "b.png"]
    assert int(row.split()[0]) == int(load("small").kl_by_dim.argmax())
    assert path == "swap.png"


def test_rows_of_a_table_are_exchanged_too(use: Use, wine: Path) -> None:
    lines = Path("wine.csv").read_text().splitlines()
    Path("two.csv").write_text("\n".join([lines[0], lines[1], lines[-1]]) + "\n")
    use("swap", "two.csv", "--dim", 0, "--run", "wine")
    rows = list(csv.DictReader(Path("swap.csv").read_text().splitlines()))
    flags = [(row["item"], row["decoded"], row["exchanged"]) for row in rows]
    once = [("0", "0"), ("1", "0"), ("1", "1")]
    assert flags == [(item, *pair) for item in "12" for pair in once]
    given = csv.DictReader(Path("two.csv").read_text().splitlines())
    for row, original in zip(rows[::3], given, strict=True):
        for name, value in original.items():
            assert float(row[name]) == pytest.approx(float(value), rel=1e-6)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--dim", "20"], "--dim 20: choose 0 to 19, or all"),
        (["--class", "bag"], "bag: an exchange needs two items, not 1"),
        (
            ["--class", "bag", "a.png"],
            "--class has no effect here: leave it out, or leave out FILE",
        ),
        (["--invert"], "--invert has no effect here: leave it out, or name a FILE"),
        (["-o", "a.gif"], "--output a.gif: end it with .png"),
    ],
)
def test_other_exchanges_are_refused(
    here: Path, refused: Refused, words: list[str], line: str
) -> None:
    assert refused("swap", *words).startswith(line)
