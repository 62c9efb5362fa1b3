"""Finding what a picture shows: the same image comes from every photo of the same object."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vae_cli.data.picture import SHARE, Fitting, decode_picture, draw_object, find_threshold

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
