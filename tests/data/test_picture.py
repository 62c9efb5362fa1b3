"""Reading a picture file, and fitting it to the shape of a model's images."""

import itertools
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import read_picture
from PIL import ExifTags, Image, ImageDraw
from torch import Tensor

from vae_cli.data.picture import (
    SHARE,
    Fitting,
    decode_picture,
    draw_object,
    find_threshold,
    measure_values,
)
from vae_cli.data.picture_files import MAX_BYTES, decoders_silenced, read_header
from vae_cli.data.value_range import OutsideRangeError
from vae_cli.errors import UsageError

GREY = (1, 8, 8)
RGB = (3, 8, 8)
ORANGE, BLUE = (200, 100, 50), (20, 40, 220)


def saved(picture: Image.Image, path: Path, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def filled(mode: str, colour: Any, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new(mode, size, colour)


def gradient() -> Image.Image:
    return Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


# ---------------------------------------------------------------------- pixels


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "webp", "tif", "jp2"])
def test_a_picture_that_has_the_models_size_is_not_changed(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(gradient(), tmp_path / f"a.{suffix}", **options)
    read = read_picture(path, GREY)
    assert read.pixels.dtype == torch.uint8
    assert torch.equal(read.pixels, torch.from_numpy(np.array(gradient()))[None])


def test_a_bmp_and_a_png_of_the_same_picture_give_the_same_pixels(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    a = read_picture(saved(picture, tmp_path / "a.png"), RGB)
    b = read_picture(saved(picture, tmp_path / "b.bmp"), RGB)
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
def test_every_mode_is_converted_to_grey(
    tmp_path: Path, mode: str, colour: Any, expected: int
) -> None:
    read = read_picture(saved(filled(mode, colour), tmp_path / "a.png"), GREY)
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
def test_every_mode_is_converted_to_rgb(
    tmp_path: Path, mode: str, colour: Any, expected: tuple[int, int, int]
) -> None:
    read = read_picture(saved(filled(mode, colour), tmp_path / "a.png"), RGB)
    assert read.pixels.shape == RGB
    assert torch.equal(read.pixels.amin((1, 2)), torch.tensor(expected, dtype=torch.uint8))
    assert torch.equal(read.pixels.amax((1, 2)), torch.tensor(expected, dtype=torch.uint8))


def save_rotated(image: Image.Image, path: Path) -> None:
    """Stored on its side, with the EXIF orientation that turns it upright."""
    image.rotate(90, expand=True).save(path, exif=with_orientation(6), quality=95)


FORMATS: dict[str, Callable[[Image.Image, Path], None]] = {
    "plain.png": lambda image, path: image.save(path),
    "palette.png": lambda image, path: image.quantize(16).save(path),
    "palette.gif": lambda image, path: image.quantize(16).save(path),
    "cmyk.jpg": lambda image, path: image.convert("CMYK").save(path, quality=95),
    "rotated.jpg": save_rotated,
    "rotated.avif": save_rotated,
    "plain.jp2": lambda image, path: image.save(path),
    "alpha.webp": lambda image, path: image.convert("RGBA").save(path, lossless=True),
    "plain.bmp": lambda image, path: image.save(path),
    "PLAIN.TIFF": lambda image, path: image.save(path),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_its_colours_and_their_places(tmp_path: Path, name: str) -> None:
    image = Image.new("RGB", (64, 96), ORANGE)
    image.paste(BLUE, (0, 48, 64, 96))  # the lower half
    FORMATS[name](image, tmp_path / name)
    pixels = read_picture(tmp_path / name, (3, 32, 32), background=255, crop=True).pixels.float()
    for half, expected in ((pixels[:, :14], ORANGE), (pixels[:, 18:], BLUE)):
        found = half.mean((1, 2))
        assert found.sub(torch.tensor(expected)).abs().max() < 6, found


@pytest.mark.parametrize("background", [0, 255, 90])
@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_transparent_pixels_become_the_background_and_are_never_inverted(
    tmp_path: Path, mode: str, invert: bool, background: int
) -> None:
    """The left half has the value 200, the right half is transparent."""
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
    pixels = read_picture(path, GREY, background=background, invert=invert).pixels
    assert (pixels[0, :, 4:] == background).all()
    assert (pixels[0, :, :4].int() - (55 if invert else 200)).abs().max() <= 1


def test_inversion_replaces_each_value_by_255_minus_the_value(tmp_path: Path) -> None:
    path = saved(gradient(), tmp_path / "a.png")
    plain, inverted = (read_picture(path, GREY, invert=invert).pixels for invert in (False, True))
    assert torch.equal(255 - plain, inverted)


def deep(values: Any, kind: str) -> Image.Image:
    return Image.fromarray(np.asarray(values, kind))


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        ([[0.0, 254.5]], "f4", r"a\.tif: 254\.5 is not in \[0, 1\]: try data.range=0:255"),
        ([[-0.9, 0.8]], "f4", r"a\.tif: -0\.9 is not in \[0, 1\]: try data.range=-1:1"),
        ([[0.3, 1735.2]], "f4", r"a\.tif: 1735\.2 is not in \[0, 1\]: try data.range=data"),
        ([[0, 80_000]], "i4", r"a\.tif: 80000 is not in \[0, 65535\]: try data.range=0:80000"),
        ([[0.5, np.nan]], "f4", r"a\.tif: nan is not a finite number$"),
        ([[0.5, np.inf]], "f4", r"a\.tif: inf is not a finite number$"),
    ],
)
def test_values_that_are_neither_black_nor_white_are_refused_and_not_clipped(
    tmp_path: Path, values: list[list[float]], kind: str, reason: str
) -> None:
    path = saved(deep(values, kind), tmp_path / "a.tif")
    with pytest.raises(OutsideRangeError) as refusal:
        read_picture(path, (1, 1, 2))
    assert re.search(reason, str(refusal.value.with_remedy()))


@pytest.mark.parametrize(
    ("picture", "limits", "expected"),
    [
        (deep([[0, 4095, 2000, 60000]], "u2"), (0, 4095), [0, 255, 125, 255]),
        (deep([[-1, 1, 0, 0.5]], "f4"), (-1, 1), [0, 255, 128, 191]),
        (deep([[1000, 3000, 2000, 0]], "i4"), (1000, 3000), [0, 255, 128, 0]),
        (deep([[0, 1, 1, 0]], "u1"), (0, 1), [0, 255, 255, 0]),
        (deep([[0, 255, 255, 0]], "u1").convert("1"), (0, 1), [0, 255, 255, 0]),
        (deep([[[9] * 3, [0] * 3, [3] * 3, [6] * 3]], "u1"), (0, 9), [255, 0, 85, 170]),
        (deep([[[9, 255], [0, 255], [3, 0], [6, 255]]], "u1"), (0, 9), [255, 0, 7, 170]),
    ],
)
def test_the_limits_of_a_range_are_black_and_white_in_every_mode(
    tmp_path: Path, picture: Image.Image, limits: tuple[float, float], expected: list[int]
) -> None:
    path = saved(picture, tmp_path / "a.tif")
    read = read_picture(path, (1, 1, 4), background=7, limits=limits)
    assert read.pixels.flatten().tolist() == expected
    pixels = np.asarray(picture, float)
    if picture.mode == "LA":
        assert read.values is None
    elif picture.mode != "1":
        assert read.values == (pixels.min(), pixels.max())
        assert measure_values(path) == read.values


def test_the_first_frame_of_an_animation_is_used(tmp_path: Path) -> None:
    first, second = filled("L", 60), filled("L", 200)
    path = saved(first, tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (read_picture(path, GREY).pixels == 60).all()


# ---------------------------------------------------------------------- size and orientation


def quarters() -> Image.Image:
    """Four quarters that no rotation leaves in place: 0 and 80 above 160 and 240."""
    values = np.array([[0, 80], [160, 240]], dtype=np.uint8)
    return Image.fromarray(values.repeat(8, 0).repeat(8, 1))


def corners(pixels: Tensor) -> list[int]:
    return [int(pixels[0, y, x]) for y in (1, -2) for x in (1, -2)]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(1, [0, 80, 160, 240]), (3, [240, 160, 80, 0]), (6, [160, 0, 240, 80])],
)
def test_a_photo_is_rotated_as_its_exif_orientation_says(
    tmp_path: Path, orientation: int, expected: list[int]
) -> None:
    path = saved(quarters(), tmp_path / "a.png", exif=with_orientation(orientation))
    assert corners(read_picture(path, (1, 16, 16)).pixels) == expected


@pytest.mark.parametrize("background", [0, 7, 255])
@pytest.mark.parametrize("size", [(80, 40), (40, 80), (4, 2), (2, 4)])
def test_the_whole_picture_is_fitted_between_two_bands_of_the_background(
    tmp_path: Path, size: tuple[int, int], background: int
) -> None:
    path = saved(filled("L", 120, size), tmp_path / "a.png")
    pixels = read_picture(path, GREY, background=background).pixels[0]
    across = pixels if size[0] > size[1] else pixels.T
    assert (across[2:6] == 120).all()
    assert (across[:2] == background).all()
    assert (across[6:] == background).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 1000), (1000, 1), (3, 5)])
def test_a_picture_of_any_proportions_is_fitted(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = read_picture(saved(filled("L", 255, size), tmp_path / "a.png"), (1, 6, 10)).pixels
    assert pixels.shape == (1, 6, 10)
    assert (pixels == 255).any()


def test_a_cropped_picture_is_cut_off_equally_on_both_sides(tmp_path: Path) -> None:
    image = Image.new("L", (300, 100), 0)
    image.paste(255, (100, 0, 200, 100))
    path = saved(image, tmp_path / "wide.png")
    pixels = read_picture(path, (1, 16, 16), crop=True).pixels
    assert pixels.min() > 230  # the edge of the white part may blend with its neighbours


def test_a_large_jpeg_looks_the_same_as_a_png_of_it(tmp_path: Path) -> None:
    """Pillow may decode a JPEG at a fraction of its size, because that is faster."""
    picture = gradient().resize((640, 640), Image.Resampling.BICUBIC)
    a = read_picture(saved(picture, tmp_path / "a.png"), (1, 16, 16)).pixels
    b = read_picture(saved(picture, tmp_path / "a.jpg", quality=95), (1, 16, 16)).pixels
    assert (a.int() - b.int()).abs().max() <= 3


@pytest.mark.parametrize(("border", "inverted"), [(255, True), (0, False), (100, False)])
def test_a_border_that_is_far_from_the_background_looks_inverted(
    tmp_path: Path, border: int, inverted: bool
) -> None:
    picture = filled("L", border, (40, 20))
    picture.paste(128, (10, 5, 30, 15))
    path = saved(picture, tmp_path / "a.png")
    read = read_picture(path, GREY)
    assert abs(read.border - border) <= 2, "it is measured before the bands are added"
    assert read.looks_inverted(0) is inverted
    if inverted:
        assert not read_picture(path, GREY, invert=True).looks_inverted(0)
        assert not read.looks_inverted(255)


# ---------------------------------------------------------------------- headers and bad files


def test_the_header_gives_the_displayed_size_and_the_mode(tmp_path: Path) -> None:
    path = saved(filled("L", 0, (30, 20)), tmp_path / "a.jpg", exif=with_orientation(6))
    assert read_header(path) == (20, 30, "L", False)
    assert read_header(saved(filled("RGBA", 0, (5, 4)), tmp_path / "a.png")) == (5, 4, "RGBA", True)
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    assert read_header(tmp_path / "bad.png") is None


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG file with one bit per pixel."""
    sizes = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    chunk = b"IHDR" + sizes + b"\1\0\0\0\0"
    checksum = zlib.crc32(chunk).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0d" + chunk + checksum + b"\0\0\0\0IDAT"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"not a picture", "is not a picture"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "odd"),
        (b"GIF89a", "odd"),
        (png_header(8, 8), "odd"),
        (png_header(10_001, 10_000), "more than 100 million pixels"),
        (png_header(30_000, 30_000), "more than 100 million pixels"),
    ],
)
def test_a_file_that_is_not_a_readable_picture_is_refused_by_name(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"odd\.png") as refusal:
        read_picture(path, GREY)
    assert reason in str(refusal.value)


def test_a_truncated_picture_is_refused_by_name(tmp_path: Path) -> None:
    path = saved(gradient().resize((64, 64)), tmp_path / "odd.png")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(UsageError, match=r"odd\.png"):
        read_picture(path, GREY)


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif", "webp", "jpg", "jp2", "avif"])
def test_a_changed_byte_gives_a_picture_or_a_refusal_and_no_other_error(
    tmp_path: Path, suffix: str
) -> None:
    path = saved(gradient(), tmp_path / f"odd.{suffix}")
    content = path.read_bytes()
    refused = 0
    for place in range(min(len(content), 120)):
        changed = bytearray(content)
        changed[place] ^= 255
        path.write_bytes(changed)
        try:
            assert read_picture(path, GREY).pixels.shape == GREY
        except UsageError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
            refused += 1
    assert refused > 0


def test_a_missing_file_a_folder_and_a_huge_file_are_refused_by_name(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    (tmp_path / "folder.png").mkdir()
    for name, reason in (
        ("missing.png", "does not exist"),
        ("folder.png", "is not a file"),
        ("huge.png", "is larger than 100 MiB"),
    ):
        with pytest.raises(UsageError, match=f"{name} {reason}"):
            read_picture(tmp_path / name, GREY)


def test_the_warning_filters_are_the_same_after_pictures_were_read() -> None:
    before = list(warnings.filters)
    with decoders_silenced():
        warnings.warn("too many pixels", Image.DecompressionBombWarning, stacklevel=1)
    assert warnings.filters == before


# ---------------------------------------------------------------------- objects

SIZE = (28, 28)


def shape_mask(edge: int) -> np.ndarray:
    """The opacity of a figure that has no symmetry, `(edge, edge / 2)`, between 0 and 1."""
    mask = Image.new("L", (400, 800))
    pen = ImageDraw.Draw(mask)
    pen.line([(40, 40), (40, 760), (360, 760)], 255, 80)
    pen.ellipse([150, 100, 390, 340], 255)
    return np.asarray(mask.resize((edge // 2, edge), Image.Resampling.BOX), np.float64) / 255


def photo(edge: int, place: tuple[int, int], ink: float, paper: float, noise: float) -> Image.Image:
    """The figure on a sheet that is lit from one side."""
    height, width = 300, 400
    light = np.linspace(-12, 12, width)[None] + np.linspace(8, -8, height)[:, None]
    sheet = paper + light + np.random.default_rng(0).normal(0, noise, (height, width))
    mask, (top, left) = shape_mask(edge), place
    part = sheet[top : top + edge, left : left + edge // 2]
    part[:] = part * (1 - mask) + ink * mask
    return Image.fromarray(sheet.clip(0, 255).astype(np.uint8))


def test_photos_of_an_object_give_the_same_image_as_the_object_itself() -> None:
    expected = np.asarray(draw_object(photo(240, (30, 80), 255, 0, 0), SIZE, 0), np.float64)
    scales = [(240, (30, 80)), (120, (5, 5)), (120, (170, 330)), (80, (100, 200))]
    colours = [(255.0, 20.0, 0.0), (30.0, 160.0, 6.0), (200.0, 90.0, 6.0)]
    for (edge, place), (ink, paper, noise) in itertools.product(scales, colours):
        found = np.asarray(draw_object(photo(edge, place, ink, paper, noise), SIZE, 0), np.float64)
        assert np.abs(found - expected).mean() < 0.15 * expected.mean(), (edge, place, ink, paper)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def test_it_is_as_large_and_in_the_middle_as_in_mnist() -> None:
    found = np.asarray(draw_object(photo(150, (20, 30), 30, 160, 4), SIZE, 0), np.float64)
    rows = np.nonzero(found > 127)[0]
    assert np.ptp(rows) + 1 == pytest.approx(SHARE * 28, abs=1)
    for axis in (0, 1):
        middle = (found.sum(1 - axis) * (np.arange(28) + 0.5)).sum() / found.sum()
        assert middle == pytest.approx(14, abs=0.6)
    assert found[0].max() == 0
    light = np.asarray(draw_object(photo(150, (20, 30), 30, 160, 4), SIZE, 255))
    assert np.abs(255.0 - light - found).max() <= 1, "dark on light is the negative"


def test_in_colour_it_keeps_its_colours() -> None:
    sheet = Image.new("RGB", (300, 200), (180, 170, 160))
    sheet.paste((200, 30, 40), (100, 50, 140, 130))
    found = np.asarray(draw_object(sheet, (32, 32), 255))
    assert found[16, 16].tolist() == [200, 30, 40]
    assert found[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_sheet_without_an_object_is_no_error(tmp_path: Path, value: int) -> None:
    Image.new("L", (5, 3), value).save(tmp_path / "a.png")
    fitting = Fitting((1, 28, 28), find_object=True)
    assert decode_picture(tmp_path / "a.png", fitting).pixels.shape == (1, 28, 28)


def test_the_threshold_is_that_of_otsu() -> None:
    values = np.array([3.0] * 50 + [5] * 50 + [90] * 5 + [110] * 5)
    scores = [
        (values <= cut).mean()
        * (values > cut).mean()
        * (values[values <= cut].mean() - values[values > cut].mean()) ** 2
        for cut in range(3, 110)
    ]
    assert find_threshold(values) == 3 + int(np.argmax(scores))
