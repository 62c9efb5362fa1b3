"""Plots look the same, and are drawn at all, whatever the user has set for matplotlib."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from vae_cli.rendering.plots import DISTINCT_COLOURS, class_colours

SCRIPT = """
from vae_cli.rendering.plots import encode_plot, new_plot
with new_plot(1, 1) as plot:
    plot.add_subplot()
    open("plot.png", "wb").write(encode_plot(plot))
"""


def draw(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_settings_of_the_user_for_matplotlib_change_nothing(tmp_path: Path) -> None:
    pictures = []
    for name, backend, settings in (
        ("plain", "", None),
        ("backend", "nonsense", None),
        ("file", "tkagg", "figure.dpi: 7\nbackend: nonsense\n: :\naxes.facecolor: red\n"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        if settings:
            (folder / "matplotlibrc").write_text(settings)
        done = draw(folder, MPLBACKEND=backend)
        assert (done.returncode, done.stderr) == (0, "")
        pictures.append((folder / "plot.png").read_bytes())
    assert pictures == pictures[:1] * 3


def test_settings_of_matplotlib_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")
    done = draw(tmp_path)
    assert "mend or remove the file matplotlibrc" in done.stderr.splitlines()[-1]


# ---------------------------------------------------------------------- the colours of classes


@pytest.mark.parametrize("count", [0, 1, 2, 10, 20, 21, 100])
def test_every_class_has_a_colour_of_its_own(count: int) -> None:
    colours = class_colours(count)
    assert len(colours) == len(set(colours)) == count


def test_a_class_keeps_its_colour_if_there_are_more_classes() -> None:
    assert class_colours(100)[:10] == class_colours(10)
    assert class_colours(100)[:30] == class_colours(30)


def test_the_first_classes_have_the_distinct_colours() -> None:
    assert class_colours(20) == list(DISTINCT_COLOURS)


def test_neighbouring_hues_differ_strongly() -> None:
    hues = [float(colour[4:].split()[0]) for colour in class_colours(60)[20:]]
    for hue, following in pairwise(hues):
        assert 90 <= abs(hue - following) <= 270
