"""`vae data`: the classes of a data set with examples, or the columns of a table."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use

Read = Callable[..., np.ndarray]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, made the current one: the command needs no run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_class_is_counted_and_has_a_row_of_examples(use: Use, pixels: Read) -> None:
    found = json.loads(use("data", "--scale", 1, "--examples", 3, "--json").out)
    assert found["shape"] == [1, 28, 28]
    assert (found["train"], found["test"], found["copies"]) == (60_000, 10_000, None)
    assert len({row["name"] for row in found["classes"]}) == 10
    assert {(row["train"], row["test"]) for row in found["classes"]} == {(6000, 1000)}
    height, width = pixels("data.png").shape
    assert height == 10 * 29 + 1
    assert width > 3 * 29 + 1, "the names are on the left of the rows"
    table = use("data").out.splitlines()
    assert table[-3].split() == ["all", "60000", "10000"]
    assert table[-2:] == ["fashion-mnist: images of 28x28 grey", "data.png"]


def test_the_limit_holds_for_both_parts(use: Use) -> None:
    found = json.loads(use("data", "--limit", 50, "--scale", 1, "--json").out)
    assert (found["train"], found["test"]) == (50, 50)


def test_a_class_with_few_pictures_does_not_shift_those_below_it(here: Path, use: Use) -> None:
    for name, grey, count in (("a", 10, 9), ("b", 120, 2), ("c", 250, 9)):
        (here / "all/train" / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (16, 16), grey).save(here / "all/train" / name / f"{number}.png")
    (here / "all/test/a").mkdir(parents=True)
    Image.new("L", (16, 16), 11).save(here / "all/test/a/0.png")
    said = use("data", "--data", "all", "--scale", 1, "--examples", 4).out
    assert "all: images of 16x16 grey\n17 of 21 items are copies of others\n" in said
    with Image.open("data.png") as picture:
        edge = picture.width - 4 * 17
        rows = [
            [picture.getpixel((edge + 17 * n + 4, 17 * m + 8)) for n in range(4)] for m in range(3)
        ]
    assert rows == [[10] * 4, [120, 120, 40, 40], [250] * 4]


# ---------------------------------------------------------------- names of data


def test_the_name_can_be_given_with_and_without_the_flag(here: Path, use: Use) -> None:
    (here / "t.csv").write_text("a,b\n" + "".join(f"{n / 2},{n * n}\n" for n in range(40)))
    said = use("data", "t.csv")
    assert said == use("data", "--data", "t.csv")
    for column in ("a", "b"):
        assert any(line.split()[:1] == [column] for line in said.out.splitlines())


@pytest.mark.filterwarnings("default")
def test_a_built_in_name_wins_over_a_folder_of_that_name_with_a_warning(
    here: Path, use: Use
) -> None:
    (here / "fashion-mnist").mkdir()
    for number in range(40):
        Image.new("L", (16, 16), number).save(here / f"fashion-mnist/{number}.png")
    words = ("data", "--limit", 9, "--scale", 1, "--json")
    built_in, folder = use(*words), use(*words, "./fashion-mnist")
    assert json.loads(built_in.out)["shape"] == [1, 28, 28]
    assert built_in.err == (
        "fashion-mnist is the built-in data set; ./fashion-mnist names what is in this folder\n"
    )
    assert json.loads(folder.out)["shape"] == [1, 16, 16]
    assert folder.err == ""


def test_a_table_has_no_picture(here: Path, refused: Refused) -> None:
    (here / "t.csv").write_text("".join(f"{n},{n * n}\n" for n in range(40)))
    assert "--output x.png: a table has no picture" in refused(
        "data", "--data", "t.csv", "-o", "x.png"
    )


# ---------------------------------------------------------------- tables


@pytest.mark.filterwarnings("default")
def test_every_column_is_described_also_if_the_table_cannot_be_learned(
    here: Path, use: Use
) -> None:
    cells = [
        [f"c{n}", "FM"[n % 2], 18 + n * 7 % 60, f"2024-01-{1 + n % 28:02}", "", 5, f"a text {n}"]
        for n in range(200)
    ]
    cells[7][2] = cells[9][2] = ""
    cells[0][6] = "a text 1"
    header = ["customer", "sex", "age", "joined", "gone", "same", "why"]
    with (here / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *cells])
    found = json.loads(use("data", "t.csv", "--json").out)
    columns = {one["name"]: one for one in found["columns"]}
    assert [one["kind"] for one in found["columns"]] == [
        *("id", "category", "integer", "date", "empty", "constant", "text")
    ]
    assert columns["age"]["missing"] == 2
    assert (columns["age"]["low"], columns["age"]["high"]) == ("18", "77")
    assert (columns["joined"]["low"], columns["joined"]["high"]) == ("2024-01-01", "2024-01-28")
    assert "--drop why, or learn them with --columns why=category" in found["problem"]
    text = use("data", "t.csv").out
    assert all(any(line.split()[:1] == [name] for line in text.splitlines()) for name in header)
    assert "column why has 199 different texts in 200 rows" in text

    said = use("data", "t.csv", "--drop", "why", "--columns", "age=number,sex=category")
    found = re.fullmatch(
        r"(\d+) training rows, (\d+) test rows; 4 columns can be learned", said.out.splitlines()[-1]
    )
    assert found
    assert int(found[1]) + int(found[2]) == len(cells)
    assert "t.csv: customer is taken for an id and left out (unique texts)" in said.err
    assert "t.csv: gone: no row has a value" in said.err
