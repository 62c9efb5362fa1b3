"""`vae interpolate`, and what moves: the frames of a GIF or WebP are the tiles of the grid."""

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import Refused, Use, call
from pictures import patches, table
from PIL import Image, ImageSequence

from vae_cli import animation, images, load
from vae_cli.data import gather
from vae_cli.errors import UsageError


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture).astype(int)


def tiles(path: str, edge: int = 28) -> np.ndarray:
    """The tiles of a grid at scale 1: `(rows, columns, edge, edge, ...)`."""
    grid, step = pixels(path), edge + 1
    rows, columns = grid.shape[0] // step, grid.shape[1] // step
    cut = grid[1 : 1 + rows * step, 1 : 1 + columns * step]
    cut = cut.reshape(rows, step, columns, step, *grid.shape[2:]).swapaxes(1, 2)
    return cut[:, :, :edge, :edge]


def frames(path: str, mode: str = "L") -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0
        found = []
        for frame in ImageSequence.Iterator(picture):
            shown = np.array(frame.convert(mode)).astype(int)
            assert frame.info["duration"] == animation.DURATION
            found.append(shown)
    return np.array(found)


def first_items(home: Path, count: int) -> np.ndarray:
    test = load(home / "runs/small", "cpu").held_out()
    return test.items[test.rows[:count], 0].numpy()


def save(home: Path, count: int) -> list[str]:
    """The first test images as files."""
    names = [f"{number}.png" for number in range(count)]
    for name, item in zip(names, first_items(home, count), strict=True):
        Image.fromarray(item).save(name)
    return names


# ---------------------------------------------------------------------- grids


def test_each_way_is_a_row_from_reconstruction_to_reconstruction(home: Path, use: Use) -> None:
    names = save(home, 3)
    use("reconstruct", *names, "--scale", 1)
    made = tiles("reconstruct.png")[:, 1]
    for words in ((), ("--spherical",)):
        use("interpolate", *names, "--steps", 5, "--scale", 1, *words)
        ways = tiles("interpolate.png")
        assert ways.shape[:2] == (2, 5)
        assert abs(ways[:, 0] - made[:2]).max() <= 1
        assert abs(ways[:, -1] - made[1:]).max() <= 1


def test_the_circle_is_another_way_between_the_same_ends(use: Use) -> None:
    use("interpolate", "--scale", 1, "-o", "line.png")
    use("interpolate", "--scale", 1, "--spherical", "-o", "circle.png")
    apart = abs(tiles("line.png") - tiles("circle.png"))[0].max((1, 2))
    assert apart[[0, -1]].max() <= 1
    assert apart[4:6].max() > 3


def test_without_files_it_goes_from_the_first_class_to_the_last(home: Path, use: Use) -> None:
    _, err = use("interpolate", "--scale", 1)
    assert "T-shirt/top" in err
    assert "Ankle boot" in err
    use("interpolate", "--class", "t-SHIRT/top", "--class", "ankle boot", "-o", "named.png", "-q")
    use(
        "interpolate",
        "--scale",
        1,
        "-o",
        "a.png",
        "--class",
        "T-shirt/top",
        "--class",
        "Ankle boot",
    )
    assert (pixels("a.png") == pixels("interpolate.png")).all()
    model = load(home / "runs/small", "cpu")
    test = model.held_out()
    first = [int((test.labels == label).nonzero()[0, 0]) for label in (0, 9)]
    made = model.reconstruct(gather(test.items, test.rows[first])).items[:, 0] * 255
    assert abs(tiles("a.png")[0, [0, -1]] - made).max() < 2


def test_a_class_named_again_gives_its_next_item(use: Use) -> None:
    words = [word for name in ("bag", "coat", "bag") for word in ("--class", name)]
    use("interpolate", *words, "--steps", 2, "--scale", 1)
    (bag, coat), (same, other) = tiles("interpolate.png")
    assert (coat == same).all()
    assert abs(bag - other).max() > 20


def test_rows_have_their_way_and_step(here: Path, use: Use) -> None:
    source = table(here / "wine.csv", "wine")
    use("train", "--data", source, "--epochs", 2, "--name", "w")
    use("interpolate", "wine.csv", "--steps", 3, "--run", "w")
    use("reconstruct", "wine.csv", "--run", "w")
    with Path("interpolate.csv").open(newline="") as file:
        head, *rows = list(csv.reader(file))
    with Path("reconstruct.csv").open(newline="") as file:
        columns, *made = list(csv.reader(file))
    assert head == ["way", "step", *columns]
    found, ends = np.array(rows, float), np.array(made, float)
    assert found[:, 0].tolist() == [way for way in range(1, 178) for _ in range(3)]
    assert found[:, 1].tolist() == [1, 2, 3] * 177
    np.testing.assert_allclose(found[::3, 2:], ends[:-1], rtol=1e-4)
    np.testing.assert_allclose(found[2::3, 2:], ends[1:], rtol=1e-4)
    use("interpolate", "--run", "w", "-o", "two.csv")
    assert Path("two.csv").read_text().count("\n") == 11


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["0.png"], "0.png holds one item: name at least two"),
        (["0.png", "missing.png"], "missing.png does not exist"),
        (["--class", "bag"], "name two classes or more"),
        (["--class", "bag", "--class", "snaker"], "--class snaker: did you mean Sneaker?"),
        (["--class", "", "--class", "zzz"], "did you mean"),
        (["0.png", "0.png", "--class", "bag"], "--class has no effect here"),
        (["--invert"], "--invert has no effect here"),
        (["--steps", "1"], "--steps"),
        (["--steps", "201"], "--steps"),
        (["-o", "x.csv"], "this model makes pictures; end it with .png"),
        (["-o", "x.mp4"], ".gif or .webp to make them move"),
        (["0.png", "1.png", "-o", "1.png"], "would overwrite what is read"),
        (["--scale", "64", "--steps", "200", "-o", "x.gif"], "an animation of 398 frames"),
    ],
)
def test_what_does_not_fit_is_one_line(
    home: Path, refused: Refused, words: list[str], reason: str
) -> None:
    save(home, 2)
    assert reason in refused("interpolate", *words)


def test_a_class_of_data_without_classes_is_an_error(
    here: Path, use: Use, refused: Refused
) -> None:
    np.save("a.npy", np.random.default_rng(0).random((60, 9, 9)))
    use("train", "--data", "a.npy", "--epochs", 1, "--name", "a")
    message = refused("interpolate", "--class", "x", "--class", "y", "--run", "a")
    assert "--class x: a has no classes" in message
    use("interpolate", "--run", "a", "--scale", 1)
    use("reconstruct", "-n", 2, "--run", "a", "--scale", 1)
    ends, made = tiles("interpolate.png", 9)[0, [0, -1]], tiles("reconstruct.png", 9)[:, 1]
    assert abs(ends - made).max() <= 1


@pytest.mark.parametrize("command", ["reconstruct", "data"])
@pytest.mark.parametrize("suffix", animation.SUFFIXES)
def test_what_does_not_move_is_no_animation(refused: Refused, command: str, suffix: str) -> None:
    assert "end it with .png for pictures, .csv for rows" in refused(command, "-o", f"x{suffix}")


# ----------------------------------------------------------------- animations


@pytest.mark.parametrize("suffix", animation.SUFFIXES)
def test_an_interpolation_goes_there_and_back(home: Path, use: Use, suffix: str) -> None:
    names = save(home, 3)
    use("interpolate", *names, "--steps", 4, "--scale", 1)
    use("interpolate", *names, "--steps", 4, "--scale", 1, "-o", f"a{suffix}")
    (first, second), shown = tiles("interpolate.png"), frames(f"a{suffix}")
    there = [*first, *second[1:]]
    assert shown.shape == (12, 30, 30)
    assert (shown[:, 1:-1, 1:-1] == [*there, *there[-2:0:-1]]).all(), "grey for grey"
    assert (shown[:, 0] == images.GAP).all()


@pytest.mark.parametrize("suffix", animation.SUFFIXES)
def test_a_traversal_has_a_frame_an_offset_and_a_tile_a_row(use: Use, suffix: str) -> None:
    words = ("traverse", "--offset", "-2:3:1", "--scale", 1)
    for dims in ([], ["--dim", 3], [word for dim in range(5) for word in ("--dim", dim)]):
        use(*words, *dims)
        use(*words, *dims, "-o", f"a{suffix}")
        rows, shown = tiles("traverse.png"), frames(f"a{suffix}")
        columns = {1: 1, 5: 3}[len(rows)]
        assert shown.shape == (8, -(-len(rows) // columns) * 29 + 1, columns * 29 + 1)
        for frame, offset in zip(shown, [0, 1, 2, 3, 4, 3, 2, 1], strict=True):
            for row, tile in enumerate(rows[:, offset]):
                top, left = 1 + 29 * (row // columns), 1 + 29 * (row % columns)
                assert (frame[top : top + 28, left : left + 28] == tile).all()


@pytest.mark.parametrize("suffix", animation.SUFFIXES)
def test_the_draws_are_among_the_frames_of_their_animation(use: Use, suffix: str) -> None:
    words = ("sample", "-n", 5, "--seed", 3, "--scale", 1)
    use(*words, "--columns", 1)
    use(*words, "-o", f"a{suffix}")
    drawn, shown = tiles("sample.png")[:, 0], frames(f"a{suffix}")[:, 1:-1, 1:-1]
    assert len(shown) == 5 * 8
    assert abs(shown[::8] - drawn).max() <= 1
    steps = abs(shown - np.roll(shown, 1, 0)).mean((1, 2))
    jump = abs(drawn - np.roll(drawn, 1, 0)).mean((1, 2))
    assert steps.max() < jump.max() / 2, "no frame jumps, nor does the loop where it closes"


def test_an_animation_is_enlarged_by_whole_pixels(use: Use) -> None:
    use("sample", "-n", 2, "--seed", 1, "-o", "a.gif")
    use("sample", "-n", 2, "--seed", 1, "--scale", 1, "-o", "b.gif")
    large, small = frames("a.gif"), frames("b.gif")[:, 1:-1, 1:-1]
    times = large.shape[1] // small.shape[1]
    gap = (large.shape[1] - times * small.shape[1]) // 2
    assert large.shape[1] > 400
    inside = large[:, gap:-gap, gap:-gap]
    assert (inside == small.repeat(times, 1).repeat(times, 2)).all()


def test_a_gif_keeps_every_grey_and_knows_nothing_else(tmp_path: Path) -> None:
    greys = np.arange(256).reshape(1, 1, 1, 16, 16) / 255
    moving = np.concatenate([greys, greys[..., ::-1]])
    for suffix in animation.SUFFIXES:
        path = tmp_path / f"a{suffix}"
        animation.write(moving, path, columns=1, scale=1)
        assert (frames(str(path))[:, 1:-1, 1:-1] == (moving[:, 0, 0] * 255).round()).all()
        with Image.open(path) as picture:
            assert not {"comment", "exif", "icc_profile", "xmp"} & set(picture.info)


def test_colours_are_exact_in_webp_and_near_in_gif(tmp_path: Path) -> None:
    for path in sorted(patches(tmp_path / "p", stride=150).rglob("*.jpg"))[:6]:
        with Image.open(path) as picture:
            colours = np.array(picture).transpose(2, 0, 1)[None, None] / 255
        moving = np.concatenate([colours, colours[..., ::-1]])
        want = (moving[:, 0] * 255).round().transpose(0, 2, 3, 1)
        for suffix, error in ((".webp", 0), (".gif", 4)):
            animation.write(moving, tmp_path / f"a{suffix}", columns=1, scale=1)
            shown = frames(str(tmp_path / f"a{suffix}"), "RGB")[:, 1:-1, 1:-1]
            assert np.sqrt(((shown - want) ** 2).mean()) <= error


def test_an_animation_too_large_to_look_at_is_refused_before_it_is_made(tmp_path: Path) -> None:
    animation.check(2000, (1, 1, 100, 100), columns=1, scale=3)
    for count, shape in ((2200, (1, 1, 100, 100)), (1, (60, 1, 4, 100))):
        with pytest.raises(UsageError, match="too large"):
            animation.check(count, shape, columns=60, scale=3)


def test_a_table_has_no_animation(tmp_path: Path) -> None:
    table(tmp_path / "wine.csv", "wine")
    assert not call("train", "--data", "wine.csv", "--epochs", 1, cwd=tmp_path).returncode
    for command in ("sample", "traverse", "interpolate"):
        done = call(command, "-o", "x.gif", cwd=tmp_path)
        assert done.returncode == 2
        assert "this model makes rows of a table; end it with .csv" in done.stderr
