"""`vae sample`: grids, animations, and tables drawn from the prior."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Refused, Use

from vae_cli.cli.commands.sample import FRAMES_PER_SAMPLE
from vae_cli.rendering.suffixes import ANIMATION_SUFFIXES

Read = Callable[..., np.ndarray]


def test_a_grid_has_the_size_that_was_asked_for(use: Use, pixels: Read) -> None:
    use("sample", "-n", 7, "--columns", 3, "--scale", 1, "-o", "a.png")
    assert pixels("a.png").shape == (3 * 29 + 1, 3 * 29 + 1)
    use("sample", "-n", 2, "--columns", 5, "--scale", 4, "-o", "b.png")
    assert pixels("b.png").shape == (28 * 4 + 2 * 2, 2 * (28 * 4 + 2) + 2)


def test_the_seed_decides_every_byte(use: Use, here: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        said = use("sample", "-n", 4, "--seed", seed, "-o", f"{name}.png")
        assert "seed" not in said.err
    a, b, c = ((here / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_temperature_0_gives_the_same_image_many_times(use: Use, tiles: Read) -> None:
    use("sample", "-n", 4, "--temperature", 0, "--scale", 1, "-o", "a.png")
    cold = tiles("a.png")[0]
    assert all((cold[0] == image).all() for image in cold)
    use("sample", "-n", 4, "--seed", 1, "--scale", 1, "-o", "b.png")
    warm = tiles("b.png")[0]
    assert not any((warm[0] == image).all() for image in warm[1:])


# ----------------------------------------------------------------- animations


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_the_samples_are_among_the_frames_of_their_animation(
    use: Use, tiles: Read, frames: Read, suffix: str
) -> None:
    words = ("sample", "-n", 5, "--seed", 3, "--scale", 1)
    use(*words, "--columns", 1)
    use(*words, "-o", f"a{suffix}")
    samples, shown = tiles("sample.png")[:, 0], frames(f"a{suffix}")[:, 1:-1, 1:-1]
    assert len(shown) == 5 * FRAMES_PER_SAMPLE
    assert abs(shown[::FRAMES_PER_SAMPLE] - samples).max() <= 1
    steps = abs(shown - np.roll(shown, 1, 0)).mean((1, 2))
    jumps = abs(samples - np.roll(samples, 1, 0)).mean((1, 2))
    assert steps.max() < jumps.max() / 2, "no frame jumps, not even from the last to the first"


def test_an_animation_is_enlarged_by_whole_pixels(use: Use, frames: Read) -> None:
    use("sample", "-n", 2, "--seed", 1, "-o", "a.gif")
    use("sample", "-n", 2, "--seed", 1, "--scale", 1, "-o", "b.gif")
    large, small = frames("a.gif"), frames("b.gif")[:, 1:-1, 1:-1]
    times = large.shape[1] // small.shape[1]
    gap = (large.shape[1] - times * small.shape[1]) // 2
    assert large.shape[1] > 400
    inside = large[:, gap:-gap, gap:-gap]
    assert (inside == small.repeat(times, 1).repeat(times, 2)).all()


# --------------------------------------------------------------------- tables


def test_a_model_of_a_table_writes_rows_under_the_names_of_its_columns(
    use: Use, wine: Path
) -> None:
    use("sample", "-n", 9, "--seed", 1, "--run", "wine")
    with (wine / "sample.csv").open(newline="") as file:
        columns, *rows = list(csv.reader(file))
    assert columns == (wine / "wine.csv").read_text().splitlines()[0].split(",")
    assert np.array(rows, float).shape == (9, 13)


def test_rows_meet_their_conditions_and_the_rate_is_printed(
    use: Use, refused: Refused, wine: Path
) -> None:
    words = ("sample", "-n", 40, "--seed", 1, "--run", "wine", "-o", "s.csv")
    err = use(*words, "--where", "alcohol=13..", "--where", "ash=2..2.5,2.6..3").err
    with (wine / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert all(float(row["alcohol"]) >= 13 for row in rows)
    assert all(2 <= float(row["ash"]) <= 3 for row in rows)
    rate, _, rest = err.partition(" % of ")
    draws = int(rest.split()[0].replace(",", ""))
    assert 39 < float(rate.split()[-1]) / 100 * draws < draws
    again = (wine / "s.csv").read_bytes()
    use(*words, "--where", "alcohol=13..", "--where", "ash=2..2.5,2.6..3")
    assert (wine / "s.csv").read_bytes() == again, "the seed decides every byte"
    advice = "widen a range, or leave a condition out"
    line = refused(*words, "--where", "alcohol=99")
    assert line == f"--where: none of 100,000 draws meets the conditions: {advice}"
    assert refused(*words, "--where", "alkohol=1").endswith("did you mean alcohol?")
    assert refused(*words, "--ids") == "--ids: wine has no column of ids, so leave it out"
    assert refused("sample", "--where", "a=1").startswith("--where a: ")


@pytest.mark.parametrize("suffix", [".png", *ANIMATION_SUFFIXES])
@pytest.mark.parametrize("command", ["sample", "traverse", "interpolate"])
def test_a_model_of_a_table_writes_no_picture(
    wine: Path, refused: Refused, command: str, suffix: str
) -> None:
    reason = f"--output x{suffix}: this model makes rows of a table; end it with .csv"
    assert refused(command, "-o", f"x{suffix}") == reason
