"""Figures of several runs: their colours, their files, and what cannot be taken for mathematics."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from vae_cli.rendering.curves import Line, Point, render_curves, render_rates, term_title
from vae_cli.rendering.plots import SAFE_COLOURS, choose_colours

# What a person without red, green or blue cones sees of linear RGB (Machado et al., 2009).
BLINDNESS = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
LINE = Line([1, 2, 3], [3.0, 2.0, 1.5], [0.5, 0.25, 0.0])


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize("ordered", [False, True])
def test_the_colours_are_told_apart_without_cones_of_one_kind(kind: str, ordered: bool) -> None:
    from matplotlib.colors import to_rgb

    colours = choose_colours(len(SAFE_COLOURS), ordered=ordered)
    seen = np.array([to_rgb(colour) for colour in colours]) ** 2.2 @ np.array(BLINDNESS[kind]).T
    seen = seen.clip(0, 1) ** (1 / 2.2)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert distances[~np.eye(len(seen), dtype=bool)].min() > 0.1


@pytest.mark.parametrize("count", [1, 2, 7, 8, 20])
@pytest.mark.parametrize("ordered", [False, True])
def test_every_line_has_a_colour_of_its_own(count: int, ordered: bool) -> None:
    colours = choose_colours(count, ordered=ordered)
    assert len({str(colour) for colour in colours}) == len(colours) == count


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_curves_are_the_same_file(suffix: str) -> None:
    curves = {
        "a $x": {("held out", "kl"): LINE, ("train", "kl"): LINE},
        "b": {("held out", "mse"): LINE},
    }
    one, two = (render_curves(curves, ["kl", "mse"], "t$", suffix=suffix) for _ in range(2))
    assert one == two
    match suffix:
        case ".png":
            assert Image.open(io.BytesIO(one)).format == "PNG"
        case ".svg":
            assert b"<svg" in one
            assert b"<dc:date>" not in one
        case ".pdf":
            assert one.startswith(b"%PDF-")
            assert not re.search(b"/CreationDate|/Type3", one), "journals refuse fonts of type 3"


@pytest.mark.parametrize("terms", [1, 2, 3, 4, 7])
def test_many_terms_need_several_rows_of_panels(terms: int) -> None:
    names = [f"term_{number}" for number in range(terms)]
    columns = 2 if terms == 4 else min(3, terms)
    curves = {"a": {("held out", name): LINE for name in names}}
    width, height = Image.open(io.BytesIO(render_curves(curves, names, ""))).size
    rows = -(-terms // columns)
    assert height / width == pytest.approx((3.4 * rows + 0.7) / (3.6 * columns), rel=0.01)


def test_points_with_and_without_deviations_are_drawn() -> None:
    lines = {"a": [Point("beta $1", (1, 0.1), (9, 0.2)), Point("2", (2, 0), (8, 0))], "": []}
    lines[""] = [Point("3", (3, 0), (7, 0))]
    picture = Image.open(io.BytesIO(render_rates(lines, ("rate", "distortion"), "title")))
    colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or []}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours


@pytest.mark.parametrize(
    ("term", "title"),
    [("kl", "KL"), ("mse", "MSE"), ("loss", "loss"), ("total_correlation", "total correlation")],
)
def test_abbreviations_are_in_capitals(term: str, title: str) -> None:
    assert term_title(term) == title
