"""`vae reconstruct`: pictures next to their reconstructions, and the figures of each."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use

Read = Callable[..., np.ndarray]


def test_pictures_of_any_size_and_mode_are_reconstructed_in_their_order(
    use: Use, pixels: Read
) -> None:
    kinds = {
        "c": ("RGB", (300, 20)),
        "a": ("RGBA", (5, 5)),
        "b": ("1", (28, 64)),
        "d": ("P", (9, 9)),
    }
    for name, (mode, size) in kinds.items():
        Image.new(mode, size).save(f"{name}.png")
    words = [f"{name}.png" for name in kinds]
    found = json.loads(use("reconstruct", *words, "a.png", "--json", "--scale", 1).out)
    assert [row["image"] for row in found["images"]] == [*words, "a.png"]
    assert found["output"] == "reconstruct.png"
    first, again = ([found["images"][index][key] for key in ("mse", "kl")] for index in (1, 4))
    assert first == pytest.approx(again, rel=1e-5), "the same picture has the same figures"
    assert pixels("reconstruct.png").shape == (5 * 29 + 1, 2 * 29 + 1)


def test_the_table_has_the_numbers_of_the_json(use: Use) -> None:
    lines = use("reconstruct", "-n", 5).out.splitlines()
    found = json.loads(use("reconstruct", "-n", 5, "--json").out)["images"]
    assert lines[-1] == "reconstruct.png"
    assert len(lines) == 1 + 5 + 1
    for line, row in zip(lines[1:-1], found, strict=True):
        *name, mse, kl = line.split()
        assert " ".join(name) == row["image"]
        assert (float(mse), float(kl)) == pytest.approx((row["mse"], row["kl"]), abs=0.006)


def test_of_many_items_only_the_mean_is_in_the_table(use: Use) -> None:
    words = ("reconstruct", "-n", 101, "--scale", 1)
    found = json.loads(use(*words, "--json").out)["images"]
    _, line, output = use(*words).out.splitlines()
    assert output == "reconstruct.png"
    assert line.startswith("mean of 101 ")
    means = [float(np.mean([row[key] for row in found])) for key in ("mse", "kl")]
    assert [float(cell) for cell in line.split()[-2:]] == pytest.approx(means, abs=0.006)


def test_the_mse_is_the_sum_of_the_squared_errors_in_the_picture(use: Use, tiles: Read) -> None:
    found = json.loads(use("reconstruct", "-n", 3, "--scale", 1, "--json").out)["images"]
    grid = tiles("reconstruct.png") / 255
    for (original, reconstruction), row in zip(grid, found, strict=True):
        assert row["mse"] == pytest.approx(((original - reconstruction) ** 2).sum(), rel=0.01)


@pytest.mark.parametrize(("count", "columns"), [(10, 2), (11, 8), (100, 8), (101, 16)])
def test_many_pairs_are_in_several_columns(use: Use, tiles: Read, count: int, columns: int) -> None:
    use("reconstruct", "-n", count, "--scale", 1)
    assert tiles("reconstruct.png").shape[:2] == (-(-2 * count // columns), columns)


def test_the_mean_of_the_posterior_is_decoded_unless_it_is_sampled(use: Use, here: Path) -> None:
    sample = ("--sample", "--seed")
    for name, words in (
        ("a", ()),
        ("b", ()),
        ("c", (*sample, 1)),
        ("d", (*sample, 1)),
        ("e", (*sample, 2)),
    ):
        use("reconstruct", "-n", 2, *words, "-o", f"{name}.png")
    a, b, c, d, e = ((here / f"{name}.png").read_bytes() for name in "abcde")
    assert a == b
    assert c == d
    assert len({a, c, e}) == 3


def test_a_photo_on_white_gets_advice_that_helps(use: Use) -> None:
    photo = Image.new("L", (40, 40), 255)
    photo.paste(30, (10, 10, 30, 30))
    photo.save("white.png")
    said = use("reconstruct", "white.png", "--json")
    assert "white.png: the background is light" in said.err
    assert "try --invert" in said.err
    advised = use("reconstruct", "white.png", "--invert", "--json", "-o", "inverted.png")
    assert "--invert" not in advised.err
    assert json.loads(advised.out)["images"][0]["mse"] < json.loads(said.out)["images"][0]["mse"]
    assert "--invert" in use("traverse", "white.png").err


def test_a_photo_on_black_gets_the_advice_not_to_invert_it(use: Use) -> None:
    photo = Image.new("L", (40, 40), 0)
    photo.paste(200, (10, 10, 30, 30))
    photo.save("black.png")
    assert "--invert" not in use("reconstruct", "black.png").err
    assert "leave out --invert" in use("reconstruct", "black.png", "--invert").err


# --------------------------------------------------------------------- tables


def test_the_order_of_the_columns_of_a_table_does_not_matter(use: Use, wine: Path) -> None:
    lines = (wine / "wine.csv").read_text().splitlines()
    names, rows = lines[0].split(","), np.loadtxt(lines[1:], delimiter=",")
    header = ",".join(names[::-1])
    np.savetxt("reversed.csv", rows[:, ::-1], delimiter=",", header=header, comments="")
    np.savetxt("bare.csv", rows, delimiter=",")
    made = []
    for name in ("wine.csv", "reversed.csv", "bare.csv"):
        use("reconstruct", name, "-o", "out.csv", "--run", "wine")
        made.append((wine / "out.csv").read_bytes())
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("photo.png", "give a .csv, .tsv or .npy file of rows"),
        ("narrow.csv", "lacks alcohol, malic_acid, ash, "),
    ],
)
def test_a_file_that_does_not_fit_the_table_is_refused(
    wine: Path, refused: Refused, name: str, reason: str
) -> None:
    Image.new("L", (9, 9)).save("photo.png")
    (wine / "narrow.csv").write_text("a,b\n1,2\n")
    assert reason in refused("reconstruct", name)
