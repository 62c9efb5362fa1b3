"""Text around grids."""

import numpy as np
import pytest
import torch
from PIL import Image

from vae_cli.errors import UsageError
from vae_cli.rendering.captions import Captions, fit_text, load_font
from vae_cli.rendering.grid import SCREEN, Layout, make_grid, measure_grid, plan_sheet

GREY_TILES = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def captioned(captions: Captions, tiles: torch.Tensor = GREY_TILES, scale: int = 3) -> Image.Image:
    return make_grid(tiles, Layout(columns=3, scale=scale, captions=captions))


@pytest.mark.parametrize("channels", [1, 3])
def test_captions_are_around_the_unchanged_rows_of_the_grid(channels: int) -> None:
    tiles = GREY_TILES.expand(-1, channels, -1, -1)
    bare = np.array(make_grid(tiles, Layout(columns=3, scale=3)))
    captions = Captions(
        title="title",
        above="abc",
        left=("one", "two"),
        right=("x", "y"),
        below=[f"{n}\nn" for n in range(6)],
    )
    shown = np.array(captioned(captions, tiles))
    assert shown.ndim == bare.ndim
    height = 85 + 1
    for row in range(2):
        strip = bare[row * 85 : row * 85 + height]
        found = [
            (top, left)
            for top in range(shown.shape[0] - height + 1)
            for left in range(shown.shape[1] - strip.shape[1] + 1)
            if (shown[top + 1, left + 1 : left + 9] == strip[1, 1:9]).all()
            and (shown[top : top + height, left : left + strip.shape[1]] == strip).all()
        ]
        assert len(found) == 1


def test_each_kind_of_caption_needs_its_own_side() -> None:
    bare = make_grid(GREY_TILES, Layout(columns=3, scale=3)).size
    grown = {
        "above": captioned(Captions(above="abc")).size,
        "left": captioned(Captions(left="ab")).size,
        "right": captioned(Captions(right="ab")).size,
        "below": captioned(Captions(below="abcdef")).size,
    }
    wider = {name for name, size in grown.items() if size[0] > bare[0]}
    higher = {name for name, size in grown.items() if size[1] > bare[1]}
    assert wider == {"left", "right"}
    assert higher == {"above", "below"}


def test_small_tiles_have_no_captions() -> None:
    captions = Captions(title="title", above="abc")
    bare = make_grid(GREY_TILES, Layout(columns=3, scale=1))
    assert captioned(captions, scale=1) == bare
    assert captioned(captions, scale=2) != make_grid(GREY_TILES, Layout(columns=3, scale=2))


def test_a_wide_text_loses_its_middle() -> None:
    font = load_font(12)
    (line,) = fit_text("a very long name of a picture.png", font, 120)
    assert font.getlength(line) <= 120
    assert line.startswith("a very")
    assert line.endswith(".png")
    assert "…" in line
    assert fit_text("short\nname", font, 120) == ["short", "name"]
    assert fit_text("a\tb\x1b", font, 120) == ["a?b?"]


def test_a_captioned_grid_fits_a_screen_if_its_tiles_stay_large_enough() -> None:
    shape, captions = (13 * 15, 1, 28, 28), Captions(title="title")
    assert measure_grid(shape, Layout(columns=13)).scale == 3
    layout = measure_grid(shape, Layout(columns=13, captions=captions))
    assert layout.scale == 2
    assert layout.size[1] <= SCREEN[1]
    assert measure_grid((900, 1, 28, 28), Layout(columns=30, captions=captions)).scale == 2
    assert measure_grid((900, 1, 28, 28), Layout(columns=30, scale=5, captions=captions)).scale == 5


def test_the_gap_is_what_was_asked_for() -> None:
    assert make_grid(GREY_TILES, Layout(columns=3, scale=1, gap=0)).size == (3 * 28, 2 * 28)
    assert make_grid(GREY_TILES, Layout(columns=3, scale=1, gap=7)).size == (3 * 35 + 7, 77)


@pytest.mark.parametrize("count", [1, 11, 70, 71, 500])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (3, 256, 256)])
def test_the_pages_hold_every_item_once_and_fit_a_screen(
    count: int, shape: tuple[int, int, int]
) -> None:
    first = plan_sheet(shape, count, Layout(), group=2)
    assert first is not None
    seen: list[int] = []
    for page in range(1, first.pages + 1):
        sheet = plan_sheet(shape, count, Layout(), group=2, page=page)
        assert sheet is not None
        texts = Captions(below=["name\nMSE 1"] * len(sheet.items), group=2)
        tiles = np.zeros((2 * len(sheet.items), *shape))
        size = make_grid(tiles, Layout(columns=sheet.columns, captions=texts)).size
        assert size[0] <= SCREEN[0] + 16
        assert size[1] <= SCREEN[1] + 16
        seen += sheet.items
    assert seen == list(range(count))
    with pytest.raises(UsageError, match=f"page={first.pages + 1}: there "):
        plan_sheet(shape, count, Layout(), group=2, page=first.pages + 1)


def test_tiles_that_are_too_small_for_text_are_on_no_sheet() -> None:
    assert plan_sheet((1, 28, 28), 20, Layout(scale=1)) is None
