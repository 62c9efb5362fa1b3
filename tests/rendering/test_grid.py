"""Grids of images, as PNG files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vae_cli.errors import UsageError
from vae_cli.rendering.grid import (
    GAP_GREY,
    Layout,
    interleave,
    make_grid,
    measure_grid,
    write_picture,
)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 3])
def test_every_pixel_is_enlarged_to_one_whole_block(channels: int, scale: int) -> None:
    values = torch.arange(5 * channels * 4 * 6).view(5, channels, 4, 6) % 256
    picture = np.array(make_grid(values / 255, Layout(columns=2, scale=scale)))
    assert picture.ndim == (3 if channels == 3 else 2)
    gap = max(1, scale // 2)
    row_height, column_width = 4 * scale + gap, 6 * scale + gap
    assert picture.shape[:2] == (3 * row_height + gap, 2 * column_width + gap)
    seen = np.zeros(picture.shape[:2], dtype=bool)
    for index, tile in enumerate(values):
        top, left = gap + index // 2 * row_height, gap + index % 2 * column_width
        area = np.s_[top : top + 4 * scale, left : left + 6 * scale]
        expected = np.kron(tile.permute(1, 2, 0).numpy(), np.ones((scale, scale, 1)))
        assert (picture[area].reshape(expected.shape) == expected).all()
        seen[area] = True
    assert (picture[~seen] == GAP_GREY).all(), "the gaps and the empty place have one colour"


def test_pixels_are_rounded_and_clipped() -> None:
    row = torch.tensor([-1.0, 0.0, 0.4999 / 255, 0.5001 / 255, 254.6 / 255, 1.0, 2.0])
    picture = np.array(make_grid(row.view(1, 1, 1, 7), Layout(columns=1, scale=1)))
    assert picture[1, 1:-1].tolist() == [0, 0, 0, 1, 255, 255, 255]


def test_fewer_tiles_than_columns_leave_no_empty_columns() -> None:
    assert make_grid(torch.zeros(2, 1, 4, 4), Layout(columns=9, scale=1)).size == (11, 6)


def test_small_images_are_enlarged_unless_a_scale_is_given() -> None:
    assert make_grid(torch.zeros(1, 1, 28, 28), Layout(columns=1)).width >= 3 * 28
    assert make_grid(torch.zeros(1, 1, 256, 256), Layout(columns=1)).width < 300
    assert make_grid(torch.zeros(1, 1, 28, 28), Layout(columns=1, scale=1)).width == 30


def test_labels_are_written_to_the_left_of_the_unchanged_grid() -> None:
    tiles = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    bare = make_grid(tiles, Layout(columns=2, scale=1))
    labelled = make_grid(tiles, Layout(columns=2, scale=1), labels=["a", "a rather long name"])
    assert labelled.height == bare.height
    assert labelled.width > bare.width
    margin = labelled.width - bare.width
    assert (np.array(labelled)[:, margin:] == np.array(bare)).all()
    ink = np.array(labelled)[:, :margin] > 128
    half = labelled.height // 2
    assert ink[:half].any(), "the first row has its label"
    assert ink[half:].sum() > ink[:half].sum(), "the second row has the longer label"
    assert not ink[:, 0].any(), "no label is cut off at the edge"


def test_a_grid_that_is_too_large_is_refused_before_memory_is_allocated() -> None:
    with pytest.raises(UsageError, match="fewer tiles"):
        make_grid(torch.zeros(1, 1, 1, 1).expand(1000, 1, 1000, 1000), Layout(columns=10, scale=1))


@pytest.mark.parametrize("shape", [(1, 1, 300), (3, 2, 4000), (1, 300, 1), (1, 1, 8)])
def test_the_grid_of_a_preview_is_not_too_large_whatever_the_shape_of_an_image(
    shape: tuple[int, int, int],
) -> None:
    for count in (64, 1000):
        width, height = measure_grid((count, *shape), Layout(columns=8)).size
        assert width <= 8 * (max(840, shape[2]) + 420)
        assert width * height < 100_000_000


def test_each_original_is_followed_by_its_reconstruction() -> None:
    originals, reconstructions = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    assert interleave(originals, reconstructions)[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]


def test_a_png_in_a_new_folder_holds_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    path = tmp_path / "new" / "folder" / "a.png"
    write_picture(Image.fromarray(pixels), path)
    with Image.open(path) as back:
        assert back.format == "PNG"
        assert (np.array(back) == pixels).all()
    assert list(path.parent.iterdir()) == [path]
