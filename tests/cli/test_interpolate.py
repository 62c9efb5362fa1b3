"""`vae interpolate`: paths between items as grids, animations and tables."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use

from vae_cli import load
from vae_cli.rendering.grid import GAP_GREY
from vae_cli.rendering.suffixes import ANIMATION_SUFFIXES

Read = Callable[..., np.ndarray]


@pytest.fixture
def names(home: Path, here: Path) -> list[str]:
    """The names of three files with the first test images."""
    test = load(home / "runs/small", "cpu").held_out()
    found = ["0.png", "1.png", "2.png"]
    for name, item in zip(found, test.items[test.rows[:3], 0].numpy(), strict=True):
        Image.fromarray(item).save(name)
    return found


# ---------------------------------------------------------------------- grids


def test_each_row_is_a_path_from_one_reconstruction_to_the_next(
    names: list[str], use: Use, tiles: Read
) -> None:
    use("reconstruct", *names, "--scale", 1)
    ends = tiles("reconstruct.png")[:, 1]
    for words in ((), ("--spherical",)):
        use("interpolate", *names, "--steps", 5, "--scale", 1, "--no-captions", *words)
        paths = tiles("interpolate.png")
        assert paths.shape[:2] == (2, 5)
        assert abs(paths[:, 0] - ends[:2]).max() <= 1
        assert abs(paths[:, -1] - ends[1:]).max() <= 1


def test_the_great_circle_is_another_path_between_the_same_ends(use: Use, tiles: Read) -> None:
    use("interpolate", "--scale", 1, "--no-captions", "-o", "line.png")
    use("interpolate", "--scale", 1, "--no-captions", "--spherical", "-o", "circle.png")
    apart = abs(tiles("line.png") - tiles("circle.png"))[0].max((1, 2))
    assert apart[[0, -1]].max() <= 1
    assert apart[4:6].max() > 3


def test_an_interpolation_that_does_not_fit_into_memory_is_refused(
    names: list[str], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_cli.rendering.grid.MAX_GRID_PIXELS", 2 * 10 * 28 * 28)
    message = refused("interpolate", *names, "--steps", 11, "--no-captions")
    assert message == "a grid of 2x11 tiles at scale 3 is too large: ask for fewer tiles"


# --------------------------------------------------------------------- classes


def test_without_files_the_path_leads_from_the_first_class_to_the_last(
    home: Path, use: Use, pixels: Read, tiles: Read
) -> None:
    _, err = use("interpolate", "--scale", 1, "--no-captions")
    assert "T-shirt/top" in err
    assert "Ankle boot" in err
    words = ("--class", "t-SHIRT/top, ankle boot")
    use("interpolate", "--scale", 1, "--no-captions", "-o", "named.png", *words)
    assert (pixels("named.png") == pixels("interpolate.png")).all(), "case does not matter"
    model = load(home / "runs/small", "cpu")
    test = model.held_out()
    first = [int((test.labels == label).nonzero()[0, 0]) for label in (0, 9)]
    ends = model.reconstruct(test.items_at(first)).items[:, 0] * 255
    assert abs(tiles("named.png")[0, [0, -1]] - ends).max() < 2


def test_a_class_that_is_named_again_gives_its_next_item(home: Path, use: Use, tiles: Read) -> None:
    words = [word for name in ("bag", "coat", "bag") for word in ("--class", name)]
    use("interpolate", *words, "--steps", 2, "--scale", 1, "--no-captions")
    (bag, coat), (same, other) = tiles("interpolate.png")
    assert (coat == same).all()
    model = load(home / "runs/small", "cpu")
    test = model.held_out()
    bags = (test.labels == model.spec.classes.index("Bag")).nonzero()[:2, 0]
    expected = model.reconstruct(test.items_at(bags)).items[:, 0] * 255
    assert abs(np.stack([bag, other]) - expected).max() < 2
    assert (bag != other).any()


def test_data_without_classes_give_their_first_two_items(
    here: Path, use: Use, refused: Refused, tiles: Read
) -> None:
    np.save("a.npy", np.random.default_rng(0).random((60, 9, 9)))
    use("train", "--data", "a.npy", "--epochs", 1, "--name", "a")
    use("interpolate", "--run", "a", "--scale", 1, "--no-captions")
    use("reconstruct", "-n", 2, "--run", "a", "--scale", 1)
    ends, expected = tiles("interpolate.png", 9)[0, [0, -1]], tiles("reconstruct.png", 9)[:, 1]
    assert abs(ends - expected).max() <= 1
    message = refused("interpolate", "--class", "x", "--class", "y", "--run", "a")
    assert message == "--class x: a has no classes"


# ---------------------------------------------------------------------- tables


def test_rows_of_a_table_have_the_numbers_of_their_path_and_step(use: Use, wine: Path) -> None:
    use("interpolate", "wine.csv", "--steps", 3, "--run", "wine")
    use("reconstruct", "wine.csv", "--run", "wine")
    with Path("interpolate.csv").open(newline="") as file:
        head, *rows = list(csv.reader(file))
    with Path("reconstruct.csv").open(newline="") as file:
        columns, *ends = list(csv.reader(file))
    assert head == ["way", "step", *columns]
    found, expected = np.array(rows, float), np.array(ends, float)
    assert found[:, 0].tolist() == [path for path in range(1, 178) for _ in range(3)]
    assert found[:, 1].tolist() == [1, 2, 3] * 177
    np.testing.assert_allclose(found[::3, 2:], expected[:-1], rtol=1e-4)
    np.testing.assert_allclose(found[2::3, 2:], expected[1:], rtol=1e-4)
    use("interpolate", "--run", "wine", "-o", "two.csv")
    assert Path("two.csv").read_text().count("\n") == 11


# ------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["0.png"], "0.png holds one item: name at least two"),
        (["0.png", "missing.png"], "missing.png does not exist"),
        (["--class", "bag"], "name two classes or more"),
        (["--class", "bag", "--class", "snaker"], "--class snaker: did you mean Sneaker?"),
        (["--class", "", "--class", "zzz"], "this is empty"),
        (["-o", "x.csv"], "this model makes pictures; end it with .png"),
        (["-o", "x.mp4"], ".gif or .webp for an animation"),
        (["0.png", "1.png", "-o", "1.png"], "would overwrite what is read"),
        (["--scale", "64", "--steps", "200", "-o", "x.gif"], "an animation of 398 frames"),
    ],
)
def test_what_cannot_be_interpolated_is_refused_with_the_reason(
    names: list[str], refused: Refused, words: list[str], reason: str
) -> None:
    assert reason in refused("interpolate", *words)


# ----------------------------------------------------------------- animations


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_an_animation_follows_all_paths_and_returns(
    names: list[str], use: Use, tiles: Read, frames: Read, suffix: str
) -> None:
    use("interpolate", *names, "--steps", 4, "--scale", 1, "--no-captions")
    use("interpolate", *names, "--steps", 4, "--scale", 1, "--no-captions", "-o", f"a{suffix}")
    (first, second), shown = tiles("interpolate.png"), frames(f"a{suffix}")
    there = [*first, *second[1:]]
    assert shown.shape == (12, 30, 30)
    assert (shown[:, 1:-1, 1:-1] == [*there, *there[-2:0:-1]]).all(), "the greys are exact"
    assert (shown[:, 0] == GAP_GREY).all()
