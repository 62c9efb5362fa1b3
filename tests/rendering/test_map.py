"""The map of a latent space as a picture."""

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vae_cli.rendering import map as maps
from vae_cli.rendering.map import OTHERS_GREY, colour_points, render_map

Array = np.ndarray[Any, Any]
AXIS_LABELS = ("PC 1 (60 % of variance)", "PC 2 (20 % of variance)")


@pytest.fixture
def points() -> Array:
    return np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)


def open_png(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    return picture.convert("RGB")


def has_colour(picture: Image.Image, colour: Array) -> bool:
    """Whether a pixel has this colour, but for rounding."""
    pixels = np.asarray(picture).reshape(-1, 3).astype(int)
    return bool((np.abs(pixels - np.round(255 * np.asarray(colour))).max(1) <= 1).any())


@pytest.mark.parametrize("classes", [2, 10, 11, 20, 30])
def test_each_class_has_its_own_colour_and_the_smallest_of_many_share_grey(classes: int) -> None:
    sizes = np.random.default_rng(classes).permutation(classes) + 1
    labels = np.arange(classes).repeat(sizes)
    names = [f"class {label}" for label in range(classes)]
    colours, legend = colour_points(labels, len(labels), names)
    assert colours.shape == (len(labels), 3)
    assert len({tuple(colour) for _, colour in legend}) == len(legend) == min(classes, 21)
    for name, colour in legend[:20]:
        assert (colours[labels == names.index(name)] == colour).all()
    if classes == 30:
        assert legend[-1] == ("10 others", (OTHERS_GREY,) * 3)
        large = {name for name, size in zip(names, sizes, strict=True) if size > 10}
        assert large == {name for name, _ in legend[:-1]}
        for label in np.flatnonzero(sizes <= 10):
            assert (colours[labels == label] == OTHERS_GREY).all()


def test_a_class_without_points_is_not_in_the_legend_and_changes_no_colour() -> None:
    names = ["a", "b", "c"]
    all_colours, _ = colour_points(np.array([0, 1, 2]), 3, names)
    colours, legend = colour_points(np.array([0, 2]), 2, names)
    assert [name for name, _ in legend] == ["a", "c"]
    assert (colours == all_colours[[0, 2]]).all()


def test_without_labels_all_points_have_one_colour_and_there_is_no_legend() -> None:
    for labels, classes in ((None, ["a"]), (np.zeros(4, int), [])):
        colours, legend = colour_points(labels, 4, classes)
        assert len(np.unique(colours, axis=0)) == 1
        assert colours.shape == (4, 3)
        assert legend == []


def test_the_map_shows_the_colours_of_the_legend(points: Array) -> None:
    labels = np.arange(40) % 3
    content = render_map(
        points, AXIS_LABELS, title="run: 40 items", labels=labels, classes=["a", "b", "c"]
    )
    picture = open_png(content)
    assert picture.width == 1280
    assert 640 <= picture.height <= 1200
    for _, colour in colour_points(labels, 40, ["a", "b", "c"])[1]:
        assert has_colour(picture, colour)


def test_the_same_points_give_the_same_bytes_without_metadata(points: Array) -> None:
    first, second = (render_map(points, AXIS_LABELS, title="title") for _ in range(2))
    assert first == second
    with Image.open(io.BytesIO(first)) as picture:
        assert not picture.info.keys() - {"dpi"}


@pytest.mark.parametrize("stretch", [(1, 0), (0, 1), (0, 0), (1, 1e-9), (1e-9, 1)])
def test_points_on_a_line_or_in_one_place_have_a_map_too(
    points: Array, stretch: tuple[float, float]
) -> None:
    picture = open_png(render_map(points * np.float32(stretch), AXIS_LABELS, title="title"))
    assert picture.width == 1280
    assert 640 <= picture.height <= 1200


def test_a_name_that_is_a_formula_to_matplotlib_is_drawn_as_text() -> None:
    names = ["$\\frac{", "_hidden", "\x1b[31m\n", "猫" * 60]
    coordinates = np.eye(12, 2, dtype=np.float32)
    content = render_map(
        coordinates, AXIS_LABELS, title="$run_$: 12", labels=np.arange(12) % 4, classes=names
    )
    assert open_png(content).width == 1280


@pytest.mark.parametrize("classes", [1, 20, 40])
@pytest.mark.parametrize("stretch", [(5e4, 1), (1, 5e4), (1e-6, 1e-6), (1, 1)])
def test_every_text_of_a_map_is_within_the_picture(
    stretch: tuple[float, float], classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal scales change the ticks after the layout, and many classes need a higher picture."""
    outside: list[str] = []

    def find_texts_outside(figure: Figure, suffix: str) -> bytes:
        figure.canvas.draw()
        (legend,), (axes,) = figure.legends, figure.axes
        texts = [*legend.get_texts(), axes.title, axes.xaxis.label, axes.yaxis.label]
        area = figure.bbox.padded(1)
        boxes = {one.get_text(): one.get_window_extent() for one in texts if one.get_text()}
        corners = {text: box.corners() for text, box in boxes.items() if box.width}
        outside.extend(t for t, found in corners.items() if area.count_contains(found) < 4)
        return b""

    monkeypatch.setattr(maps, "encode_plot", find_texts_outside)
    names = [f"class number {number}" for number in range(classes)]
    points = np.random.default_rng(0).normal(size=(200, 2)) * stretch
    render_map(
        points, AXIS_LABELS, title="run: 200 items", labels=np.arange(200) % classes, classes=names
    )
    assert outside == []
