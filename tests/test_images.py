"""How a person's picture becomes a model's input, and how tiles become a PNG."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vae_cli import images
from vae_cli.errors import UsageError, VAEError

GREY = (1, 8, 8)
RGB = (3, 8, 8)


def saved(picture: Image.Image, path: Path, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def filled(mode: str, colour: Any, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new(mode, size, colour)


def gradient() -> Image.Image:
    return Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)


def quarters() -> Image.Image:
    """Four corners that no turn leaves in place: 0 and 80 above 160 and 240."""
    corners = np.array([[0, 80], [160, 240]], dtype=np.uint8)
    return Image.fromarray(corners.repeat(8, 0).repeat(8, 1))


def corners(pixels: Tensor) -> list[int]:
    return [int(pixels[0, y, x]) for y in (1, -2) for x in (1, -2)]


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "webp", "tif"])
def test_a_picture_of_the_models_size_arrives_unchanged(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(gradient(), tmp_path / f"a.{suffix}", **options)
    read = images.read(path, GREY)
    assert read.pixels.dtype == torch.uint8
    assert torch.equal(read.pixels, torch.from_numpy(np.array(gradient()))[None])


def test_a_bitmap_reads_the_same_as_a_png_of_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    a = images.read(saved(picture, tmp_path / "a.png"), RGB)
    b = images.read(saved(picture, tmp_path / "b.bmp"), RGB)
    assert torch.equal(a.pixels, b.pixels)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, 100),
        ("1", 1, 255),
        ("1", 0, 0),
        ("RGB", (255, 255, 255), 255),
        ("RGB", (255, 0, 0), 76),  # ITU-R 601: 0.299 of red
        ("RGB", (0, 255, 0), 150),
        ("RGBA", (100, 100, 100, 255), 100),
        ("RGBA", (255, 255, 255, 0), 0),
        ("RGBA", (200, 200, 200, 128), 100),
        ("LA", (100, 255), 100),
        ("LA", (100, 0), 0),
        ("I;16", 65535, 255),
        ("I;16", 32768, 128),
        ("I;16", 257, 1),
        ("I;16", 0, 0),
    ],
)
def test_a_plain_picture_becomes_its_grey(
    tmp_path: Path, mode: str, colour: Any, expected: int
) -> None:
    read = images.read(saved(filled(mode, colour), tmp_path / "a.png"), GREY)
    assert read.pixels.shape == GREY
    assert (read.pixels.int() - expected).abs().max() <= 1


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("L", 40, (40, 40, 40)),
        ("LA", (40, 255), (40, 40, 40)),
        ("I;16", 65535, (255, 255, 255)),
    ],
)
def test_a_plain_picture_becomes_its_colour(
    tmp_path: Path, mode: str, colour: Any, expected: tuple[int, int, int]
) -> None:
    read = images.read(saved(filled(mode, colour), tmp_path / "a.png"), RGB)
    assert read.pixels.shape == RGB
    assert torch.equal(read.pixels.amin((1, 2)), torch.tensor(expected, dtype=torch.uint8))
    assert torch.equal(read.pixels.amax((1, 2)), torch.tensor(expected, dtype=torch.uint8))


@pytest.mark.parametrize("background", [0, 255, 90])
@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_transparency_is_the_background_and_is_never_inverted(
    tmp_path: Path, mode: str, invert: bool, background: int
) -> None:
    """The left half shows 200, the right half is transparent."""
    path = tmp_path / "a.png"
    if mode in {"RGBA", "LA"}:
        clear, solid = ((50,), (200,)) if mode == "LA" else ((50,) * 3, (200,) * 3)
        picture = filled(mode, (*clear, 0))
        picture.paste((*solid, 255), (0, 0, 4, 8))
        picture.save(path)
    else:
        picture = filled(mode, 1)
        if mode == "P":
            picture.putpalette([200, 200, 200, 50, 50, 50])
        picture.paste(0 if mode == "P" else 200, (0, 0, 4, 8))
        picture.save(path, transparency=1)
    pixels = images.read(path, GREY, background=background, invert=invert).pixels
    assert (pixels[0, :, 4:] == background).all()
    assert (pixels[0, :, :4].int() - (55 if invert else 200)).abs().max() <= 1


def test_invert_swaps_dark_and_light_exactly(tmp_path: Path) -> None:
    path = saved(gradient(), tmp_path / "a.png")
    plain, inverted = (images.read(path, GREY, invert=invert).pixels for invert in (False, True))
    assert torch.equal(255 - plain, inverted)


def test_a_floating_point_picture_is_in_the_unit_interval(tmp_path: Path) -> None:
    values = np.full((8, 8), 0.5, dtype=np.float32)
    values[0, :4] = [0.0, 1.0, 7.0, np.nan]
    path = saved(Image.fromarray(values), tmp_path / "a.tif")
    assert images.read(path, GREY).pixels[0, 0, :5].tolist() == [0, 255, 255, 0, 128]


def test_a_cmyk_jpeg_is_read_as_it_looks(tmp_path: Path) -> None:
    white = images.read(saved(filled("CMYK", (0, 0, 0, 0)), tmp_path / "w.jpg"), GREY)
    black = images.read(saved(filled("CMYK", (0, 0, 0, 255)), tmp_path / "b.jpg"), GREY)
    assert white.pixels.min() > 250
    assert black.pixels.max() < 5


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(1, [0, 80, 160, 240]), (3, [240, 160, 80, 0]), (6, [160, 0, 240, 80])],
)
def test_a_photo_is_turned_as_its_exif_says(
    tmp_path: Path, orientation: int, turned: list[int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(quarters(), tmp_path / "a.png", exif=exif)
    assert corners(images.read(path, (1, 16, 16)).pixels) == turned


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    first, second = filled("L", 60), filled("L", 200)
    path = saved(first, tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (images.read(path, GREY).pixels == 60).all()


@pytest.mark.parametrize("background", [0, 255])
def test_a_wide_picture_is_fitted_whole_between_bands(tmp_path: Path, background: int) -> None:
    path = saved(filled("L", 120, (80, 40)), tmp_path / "a.png")
    pixels = images.read(path, GREY, background=background).pixels[0]
    assert (pixels[2:6] == 120).all()
    assert (pixels[:2] == background).all()
    assert (pixels[6:] == background).all()


def test_a_tall_picture_is_fitted_whole_between_bands(tmp_path: Path) -> None:
    path = saved(filled("L", 120, (2, 4)), tmp_path / "a.png")
    pixels = images.read(path, GREY, background=7).pixels[0]
    assert (pixels[:, 2:6] == 120).all()
    assert (pixels[:, :2] == 7).all()
    assert (pixels[:, 6:] == 7).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 1000), (1000, 1), (3, 5)])
def test_any_proportion_fits(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = images.read(saved(filled("L", 255, size), tmp_path / "a.png"), (1, 6, 10)).pixels
    assert pixels.shape == (1, 6, 10)
    assert (pixels == 255).any()


@pytest.mark.parametrize(("ground", "inverted"), [(255, True), (0, False), (100, False)])
def test_a_light_border_looks_inverted_to_a_dark_data_set(
    tmp_path: Path, ground: int, inverted: bool
) -> None:
    picture = filled("L", ground, (40, 20))
    picture.paste(128, (10, 5, 30, 15))
    path = saved(picture, tmp_path / "a.png")
    read = images.read(path, GREY)
    assert abs(read.border - ground) <= 2, "measured before the bands were added"
    assert read.looks_inverted(0) is inverted
    if inverted:
        assert not images.read(path, GREY, invert=True).looks_inverted(0)
        assert not read.looks_inverted(255)


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a"]
)
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"odd\.png"):
        images.read(path, GREY)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 3])
def test_every_pixel_becomes_one_whole_block(channels: int, scale: int) -> None:
    values = torch.arange(5 * channels * 4 * 6).view(5, channels, 4, 6) % 256
    picture = np.array(images.grid(values / 255, columns=2, scale=scale))
    assert picture.ndim == (3 if channels == 3 else 2)
    gap = max(1, scale // 2)
    tall, wide = 4 * scale + gap, 6 * scale + gap
    assert picture.shape[:2] == (3 * tall + gap, 2 * wide + gap)
    seen = np.zeros(picture.shape[:2], dtype=bool)
    for index, tile in enumerate(values):
        top, left = gap + index // 2 * tall, gap + index % 2 * wide
        area = np.s_[top : top + 4 * scale, left : left + 6 * scale]
        expected = np.kron(tile.permute(1, 2, 0).numpy(), np.ones((scale, scale, 1)))
        assert (picture[area].reshape(expected.shape) == expected).all()
        seen[area] = True
    assert (picture[~seen] == images.GAP).all(), "gaps and the empty place are plain"


def test_a_grid_rounds_and_clamps() -> None:
    row = torch.tensor([-1.0, 0.0, 0.4999 / 255, 0.5001 / 255, 254.6 / 255, 1.0, 2.0])
    picture = np.array(images.grid(row.view(1, 1, 1, 7), columns=1, scale=1))
    assert picture[1, 1:-1].tolist() == [0, 0, 0, 1, 255, 255, 255]


def test_fewer_tiles_than_columns_leave_no_empty_columns() -> None:
    assert images.grid(torch.zeros(2, 1, 4, 4), columns=9, scale=1).size == (11, 6)


def test_small_images_are_enlarged_unless_asked_otherwise() -> None:
    assert images.grid(torch.zeros(1, 1, 28, 28), columns=1).width >= 3 * 28
    assert images.grid(torch.zeros(1, 1, 256, 256), columns=1).width < 300


def test_labels_stand_to_the_left_of_an_unchanged_grid() -> None:
    tiles = torch.rand(4, 1, 28, 28)
    bare = images.grid(tiles, columns=2, scale=1)
    named = images.grid(tiles, columns=2, scale=1, labels=["a", "a rather long name"])
    assert named.height == bare.height
    assert named.width > bare.width
    margin = named.width - bare.width
    assert (np.array(named)[:, margin:] == np.array(bare)).all()
    ink = np.array(named)[:, :margin] > 128
    half = named.height // 2
    assert ink[:half].any(), "the first row has its name"
    assert ink[half:].sum() > ink[:half].sum(), "and the second its longer one"
    assert not ink[:, 0].any(), "no name is cut off at the edge"


def test_a_grid_too_large_for_memory_is_refused_before_it_is_made() -> None:
    with pytest.raises(UsageError, match="fewer tiles"):
        images.grid(torch.zeros(1, 1, 1, 1).expand(1000, 1, 1000, 1000), columns=10, scale=1)


def test_an_original_stands_before_its_reconstruction() -> None:
    a, b = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    assert images.beside(a, b)[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]


def test_a_png_holds_exactly_what_was_drawn(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.png"
    images.write_png(gradient(), path)
    with Image.open(path) as back:
        assert back.format == "PNG"
        assert (np.array(back) == np.array(gradient())).all()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace", "fdopen"])
def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path if failing == "replace" else os, failing, full)
    with pytest.raises(VAEError, match=r"a\.png: No space left on device"):
        images.write_png(gradient(), path)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path], "no temporary file stays"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        images.write_png(gradient(), tmp_path / "a.png")
    finally:
        after = os.umask(before)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == mode
    assert after == mask, "the umask is as it was"
