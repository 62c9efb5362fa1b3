"""`vae data --save-example` writes one test item that the other commands read."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use


def test_the_picture_is_the_first_test_item(use: Use) -> None:
    out = use("data", "--save-example", "img.png").out
    assert out.splitlines()[-2:] == ["data.png", "img.png"]
    assert np.array(Image.open("img.png")).shape == (28, 28)
    use("reconstruct", "img.png", "-o", "a.png", "--scale", 1)
    use("reconstruct", "-n", 1, "-o", "b.png", "--scale", 1)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_json_names_the_example(use: Use) -> None:
    document = json.loads(use("data", "--json", "--save-example", "img.png").out)
    assert document["example"] == "img.png"
    assert "example" not in json.loads(use("data", "--json").out)


def test_the_example_of_a_table_is_one_row(here: Path, use: Use) -> None:
    rows = (f"{n / 2:.1f},{n * n % 7 + 0.5}\n" for n in range(40))
    Path("x.csv").write_text("a,b\n" + "".join(rows))
    use("data", "x.csv", "--save-example", "one.csv")
    head, row = Path("one.csv").read_text().splitlines()
    assert head == "a,b"
    assert row in Path("x.csv").read_text().splitlines()


@pytest.mark.parametrize("shape", [(40, 20, 30), (40, 20, 30, 3)])
def test_the_example_of_an_array_has_its_size_and_colours(
    here: Path, use: Use, shape: tuple[int, ...]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.save("x.npy", images)
    use("data", "x.npy", "--save-example", "img.png")
    example = np.array(Image.open("img.png"))
    assert any((example == image).all() for image in images)


@pytest.mark.parametrize("name", ["x.csv", "x.gif", "x", "x.jpg"])
def test_another_kind_of_file_is_refused(name: str, refused: Refused) -> None:
    line = refused("data", "--save-example", name)
    assert line == f"--save-example {name}: fashion-mnist is of pictures; end it with .png"


@pytest.mark.parametrize("flag", ["--save-example", "--output"])
def test_the_data_are_not_overwritten_or_changed(
    flag: str, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "x.csv").write_text("1,2\n3,4\n")
    line = refused("data", "x.csv", flag, "x.csv")
    assert line == f"{flag} x.csv would overwrite what is read: write it elsewhere"
    line = refused("data", "photos", flag, "photos/a/b.png")
    place = "would lie among the pictures of photos: write it elsewhere"
    assert line == f"{flag} photos/a/b.png {place}"
