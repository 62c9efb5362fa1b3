"""`vae traverse`: a column per offset, a row per dimension."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use

from vae_cli import load
from vae_cli.cli._errors import shorten_words
from vae_cli.rendering.suffixes import ANIMATION_SUFFIXES

Read = Callable[..., np.ndarray]


# -------------------------------------------------------------------- offsets


def test_each_offset_is_a_column(use: Use, pixels: Read) -> None:
    found = json.loads(use("traverse", "--offset", "-0.5:3:0.25", "--scale", 1, "--json").out)
    assert found["offsets"] == [-0.5 + 0.25 * step for step in range(14)]
    assert pixels("traverse.png").shape == (28 + 2, 14 * 29 + 1)


@pytest.mark.parametrize(("words", "offset"), [((), "-0.5:3:0.25"), (("--dim", 3), "-3:3.5:0.5")])
def test_the_default_offsets_are_those_in_the_help(
    use: Use, words: tuple[object, ...], offset: str
) -> None:
    typed = use("traverse", *words, "--offset", offset, "--json").out
    assert use("traverse", *words, "--json").out == typed


def test_bad_offsets_are_refused_before_a_run_is_searched_for(refused: Refused) -> None:
    assert refused("traverse", "--offset", "1:2").startswith("--offset 1:2: write START:STOP:STEP")
    assert refused("traverse", "--offset", " ").startswith("--offset  : write START:STOP:STEP")


def test_offset_0_is_the_reconstruction(use: Use, tiles: Read) -> None:
    use("reconstruct", "-n", 1, "--scale", 1)
    use("traverse", "--scale", 1, "--offset", "-0.5:3:0.25")
    walk, still = tiles("traverse.png")[0], tiles("reconstruct.png")[0, 1]
    assert abs(walk[2] - still).max() <= 1
    assert abs(walk[13] - still).max() > 20, "the far end is another image"


# ----------------------------------------------------------------- what is shifted


def test_a_traversal_starts_from_the_picture_or_from_the_index(use: Use, tiles: Read) -> None:
    use("reconstruct", "-n", 3, "--scale", 1)
    tests = tiles("reconstruct.png")
    Image.fromarray(tests[2, 0].astype(np.uint8)).save("in.png")
    for words in (("in.png",), ("--index", 2)):
        use("traverse", *words, "--offset", "0:1:1", "--scale", 1)
        assert abs(tiles("traverse.png")[0, 0] - tests[2, 1]).max() <= 1


def test_an_index_beyond_the_test_set_is_refused_with_the_last_one(
    here: Path, refused: Refused
) -> None:
    message = refused("traverse", "-q", "--index", "10000")
    assert message == "--index 10000: the test set has items 0 to 2047"


# ----------------------------------------------------------------- dimensions


def test_each_dimension_is_a_row_in_the_order_in_which_they_were_named(
    use: Use, pixels: Read, tiles: Read
) -> None:
    words = ("traverse", "--offset", "-2:3:2", "--scale", 1, "--json")
    both = json.loads(use(*words, "--dim", 3, "--dim", 0).out)
    assert [row["dim"] for row in both["rows"]] == [3, 0]
    assert pixels("traverse.png").shape == (2 * 29 + 1, 3 * 29 + 1)
    rows = tiles("traverse.png")
    assert not (rows[0, 0] == rows[1, 0]).all()
    assert abs(rows[0, 1] - rows[1, 1]).max() <= 1, "offset 0 is the same in each row"
    for row, dim in zip(rows, (3, 0), strict=True):
        use(*words, "--dim", dim)
        assert abs(tiles("traverse.png")[0] - row).max() <= 1


def test_all_dimensions_are_sorted_by_their_kl(use: Use, home: Path, pixels: Read) -> None:
    words = ("traverse", "--dim", "all", "--silent")
    found = json.loads(use(*words, "--scale", 1, "--json").out)
    kl = load(home / "runs/small", "cpu").kl_by_dim
    assert sorted(row["dim"] for row in found["rows"]) == list(range(20))
    assert [row["kl"] for row in found["rows"]] == sorted(kl.tolist(), reverse=True)
    assert all(row["kl"] == float(kl[row["dim"]]) for row in found["rows"])
    assert pixels("traverse.png").shape == (20 * 29 + 1, len(found["offsets"]) * 29 + 1)
    table = use(*words).out.splitlines()
    dims = [int(line.split()[1]) for line in table[1:-1]]
    assert dims == [row["dim"] for row in found["rows"]]


def test_silent_dimensions_are_left_out(
    use: Use, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kl = load(home / "runs/small", "cpu").kl_by_dim
    expected = kl.argsort(descending=True).tolist()[:7]
    monkeypatch.setattr("vae_cli.training.ACTIVE_THRESHOLD", float(kl[expected[-1]]) - 1e-6)
    active = use("traverse", "--dim", "active", "--json")
    every = use("traverse", "--dim", "all", "--json")
    assert [row["dim"] for row in json.loads(active.out)["rows"]] == expected
    assert every.out == active.out
    assert "without 13 dimensions that change nothing" in every.err
    assert "--silent" not in active.err


def test_silent_needs_all_dimensions(here: Path, refused: Refused) -> None:
    message = "--silent has no effect here: leave it out, or add --dim all"
    assert refused("traverse", "--silent") == message
    assert refused("traverse", "--silent", "--dim", "3") == message
    stands_alone = "--dim active stands alone: it is every dimension with a KL already"
    assert refused("traverse", "-q", "--dim", "active,3") == stands_alone


@pytest.mark.parametrize("dim", ["20", "-1", "x", "1.5", "+1", "1_0", "1 2", "²", "٣", "9" * 5000])
def test_a_bad_dimension_is_refused_with_the_range(here: Path, refused: Refused, dim: str) -> None:
    message = shorten_words(f"--dim {dim}: choose 0 to 19, or all")
    assert refused("traverse", "-q", "--dim", dim) == message


@pytest.mark.parametrize("dims", [("all", "3"), ("3", "all"), ("all", "all")])
def test_all_dimensions_with_another_one_are_refused(
    here: Path, refused: Refused, dims: tuple[str, str]
) -> None:
    message = refused("traverse", "-q", "--dim", dims[0], "--dim", dims[1])
    assert message == "--dim all stands alone: it is every dimension already"


# ----------------------------------------------------------------- animations


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
@pytest.mark.parametrize(("dims", "columns"), [([], 1), ([3], 1), ([0, 1, 2, 3, 4], 3)])
def test_an_animation_has_a_frame_per_offset_and_a_tile_per_row(
    use: Use, tiles: Read, frames: Read, suffix: str, dims: list[int], columns: int
) -> None:
    words = ["traverse", "--offset", "-2:3:1", "--scale", 1]
    words += [word for dim in dims for word in ("--dim", dim)]
    use(*words)
    use(*words, "-o", f"a{suffix}")
    rows, shown = tiles("traverse.png"), frames(f"a{suffix}")
    assert shown.shape == (8, -(-len(rows) // columns) * 29 + 1, columns * 29 + 1)
    for frame, offset in zip(shown, [0, 1, 2, 3, 4, 3, 2, 1], strict=True):
        for row, tile in enumerate(rows[:, offset]):
            top, left = 1 + 29 * (row // columns), 1 + 29 * (row % columns)
            assert (frame[top : top + 28, left : left + 28] == tile).all()
