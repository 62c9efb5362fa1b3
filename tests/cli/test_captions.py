"""Captions on the pictures of commands, and how they are left out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use

from vae_cli import load
from vae_cli.rendering.grid import Layout, make_grid

Read = Callable[..., np.ndarray]
COMMANDS = [
    ("traverse", "--dim", "active"),
    ("traverse",),
    ("interpolate",),
    ("reconstruct",),
    ("reconstruct", "-n", "30"),
    ("manifold", "-n", "4"),
    ("swap",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_picture_has_captions_unless_it_is_asked_for_without(
    use: Use, pixels: Read, words: tuple[str, ...]
) -> None:
    use(*words, "-o", "captioned.png")
    use(*words, "-o", "bare.png", "--no-captions", "--scale", 3)
    captioned, bare = pixels("captioned.png"), pixels("bare.png")
    assert (captioned[0] == 0).all() or captioned.shape[1] > bare.shape[1]
    assert (bare[0] == 40).all(), "a bare picture starts with the gap"
    assert (captioned != 40).any()


def test_a_bare_picture_is_the_grid_of_its_tiles(use: Use, pixels: Read) -> None:
    use("reconstruct", "-n", 2, "--no-captions", "-o", "bare.png")
    model = load("small", "cpu")
    items = model.held_out().items[:2].float() / 255
    decoded = model.reconstruct(items).items
    tiles = np.stack([items.numpy(), decoded], 1).reshape(4, 1, 28, 28)
    assert (
        abs(pixels("bare.png") - np.array(make_grid(tiles, Layout(columns=2))).astype(int)).max()
        <= 1
    )


def test_originals_are_at_both_ends_of_an_interpolation(use: Use, tiles: Read) -> None:
    use("interpolate", "--steps", 3, "--scale", 1)
    use("interpolate", "--steps", 3, "--scale", 1, "--no-captions", "-o", "bare.png")
    use("swap", "--scale", 1)
    (row,), (bare,) = tiles("interpolate.png"), tiles("bare.png")
    assert (row[1:-1] == bare).all()
    assert (row[[0, -1]] == tiles("swap.png")[:, 0]).all()


def test_many_items_are_on_pages(use: Use, pixels: Read, refused: Refused) -> None:
    said = use("reconstruct", "-n", 100)
    assert "the picture is page 1 of 2; --page 2 is the next" in said.err
    assert said.out.count("\n") == 1 + 100 + 1, "all items are in the table"
    first = pixels("reconstruct.png")
    assert "page 2 of 2" in use("reconstruct", "-n", 100, "--page", 2).err
    second = pixels("reconstruct.png")
    assert first.shape[0] > second.shape[0]
    assert "page" not in use("reconstruct", "-n", 100, "--no-captions").err
    assert pixels("reconstruct.png").shape[0] == 25 * 85 + 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--page", "2"], "--page 2: there is 1 page"),
        (["-n", "100", "--page", "9"], "--page 9: there are 2 pages"),
        (
            ["--page", "1", "--no-captions"],
            "--page has no effect here: leave it out, or leave out --no-captions",
        ),
        (
            ["--page", "1", "--scale", "1"],
            "--page has no effect here: leave it out, or leave out --scale",
        ),
    ],
)
def test_a_page_that_is_not_there_is_refused(
    here: Path, refused: Refused, words: list[str], line: str
) -> None:
    assert refused("reconstruct", "-q", *words) == line


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_a_picture_can_be_jpeg(use: Use, pixels: Read, suffix: str) -> None:
    words = ("sample", "-n", 4, "--seed", 1, "--scale", 1, "--gap", 0)
    use(*words, "-o", f"a{suffix}")
    use(*words)
    with Image.open(f"a{suffix}") as picture:
        assert picture.format == "JPEG"
    difference = abs(pixels(f"a{suffix}") - pixels("sample.png"))
    assert pixels("sample.png").shape == (28, 4 * 28)
    assert difference.mean() < 3


def test_a_name_in_any_alphabet_is_written(use: Use) -> None:
    name = "фото é 靴 " + "x" * 100 + ".png"
    Image.new("L", (28, 28), 90).save(name)
    use("reconstruct", name)
    with Image.open("reconstruct.png") as picture:
        assert picture.width < 1000


def test_the_map_can_be_svg(use: Use) -> None:
    use("embed", "-o", "z.npz", "--plot", "map.svg")
    assert Path("map.svg").read_text().startswith("<?xml")
