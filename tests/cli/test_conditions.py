"""Conditional runs on the command line: classes of pictures, and columns of a table."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use, call

from vae_cli import load
from vae_cli.api.model import TrainedModel

Read = Callable[..., np.ndarray]
SMALL = ("--epochs", 1, "--latent-dim", 2, "--hidden", 8, "--precision", "float32")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small runs, of clothes and their classes, and of people."""
    folder = tmp_path_factory.mktemp("told")
    write_people(folder / "people.csv", 120)
    for words in (
        ("--limit", 256, "--condition", "label", "--name", "clothes"),
        ("--data", "people.csv", "--condition", "sex,age", "--label", "kind", "--name", "people"),
    ):
        done = call("train", *SMALL, *words, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def write_people(path: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    rows = ["height,sex,weight,age,kind"]
    for _ in range(count):
        sex, age = random.integers(0, 2), random.integers(18, 80)
        height = 165 + 12 * sex + random.normal(0, 5)
        rows.append(f"{height:.1f},{'FM'[sex]},{height - 100:.2f},{age},{'ab'[sex]}")
    path.write_text("\n".join(rows))
    return path


@pytest.fixture
def inside(told: Path, here: Path) -> Path:
    """The current folder, in which these runs are visible."""
    for name in ("clothes", "people"):
        (here / "runs" / name).symlink_to(told / "runs" / name)
    (here / "people.csv").symlink_to(told / "people.csv")
    return here


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_classes_of_pictures(inside: Path, use: Use, refused: Refused, tiles: Read) -> None:
    run, small = ("--run", "clothes"), ("--seed", 1, "--scale", 1)
    use("sample", *run, "--class", "all", "-n", 3, *small, "-o", "all.png")
    use("sample", *run, "--class", "bag", "-n", 3, "--columns", 3, *small, "-o", "bag.png")
    assert (inside / "all.png").stat().st_size > (inside / "bag.png").stat().st_size
    use("sample", *run, "--class", "(none)", "-n", 3, "--columns", 3, *small, "-o", "no.png")
    use("sample", *run, "-n", 3, "--columns", 3, *small, "-o", "default.png")
    none, default, bag = (tiles(f"{name}.png") for name in ("no", "default", "bag"))
    assert (none == default).all(), "no class is one that is not known"
    assert not (none == bag).all()

    use("reconstruct", *run, "-n", 2, "--scale", 1, "-o", "own.png")
    use("reconstruct", *run, "-n", 2, "--scale", 1, "--class", "Bag", "-o", "asbag.png")
    assert (inside / "own.png").read_bytes() != (inside / "asbag.png").read_bytes()
    done = use("swap", *run, "--class", "sandal", "--scale", 1, "-o", "swap.png", "--json")
    assert '"classes": [\n    "Sandal"\n  ]' in done.out
    picture = np.zeros((28, 28), np.uint8)
    picture[6:22, 6:22] = 200
    Image.fromarray(picture).save("x.png")
    scores = [
        rows(use("score", "x.png", *run, "--class", name, "--samples", 2, "-o", "-").out)
        for name in ("Bag", "Trouser")
    ]
    assert scores[0] != scores[1]

    assert "--class Bga: did you mean Bag?" in refused("sample", *run, "--class", "Bga")
    bare = refused("sample", "--run", "small", "--class", "Bag")
    assert "small is told nothing about its items; train a run with --condition label" in bare
    sampler = refused("sample", *run, "--sampler", "gmm")
    assert "clothes is a model of p(x|y): take --sampler prior" in sampler
    label = refused("train", "--condition", "lable")
    assert "--condition lable: fashion-mnist has no such column; did you mean label?" in label


def test_columns_of_a_table(inside: Path, use: Use, refused: Refused) -> None:
    run = ("--run", "people", "-o", "-")
    found = rows(use("sample", *run, "-n", 50, "--seed", 0).out)
    assert list(found[0]) == ["height", "sex", "weight", "age"], "as in the file"
    assert {row["sex"] for row in found} == {"F", "M"}
    where = ("--where", "sex=F", "--where", "age=30..50", "--where", "height=150..")
    for row in rows(use("sample", *run, "-n", 20, "--seed", 0, *where).out):
        assert row["sex"] == "F"
        assert 30 <= int(row["age"]) <= 50
        assert float(row["height"]) >= 150

    new = inside / "new.csv"
    new.write_text("age,weight,sex,height\n30,70,M,170\n,60,,160\n")
    found = rows(use("reconstruct", new, *run).out)
    assert [(row["sex"], row["age"]) for row in found] == [("M", "30"), ("", "")]
    found = rows(use("reconstruct", new, *run, "--where", "sex=F").out)
    assert [(row["sex"], row["age"]) for row in found] == [("F", "30"), ("F", "")]
    assert "ignored" not in use("embed", new, *run).err
    assert len(rows(use("score", new, *run, "--samples", 2).out)) == 2
    holes = inside / "holes.csv"
    holes.write_text("sex,height,weight,age\nM,170,,30\n")
    (filled,) = rows(use("impute", holes, *run, "--samples", 16).out)
    assert float(filled["weight"]) > 0
    assert filled["age"] == "30"

    new.write_text("weight,sex,height\n70,M,170\n")
    assert "new.csv lacks age" in refused("score", new, *run)
    for words in (("sample",), ("reconstruct", new)):
        assert "--where sex=X: there are F, M" in refused(*words, *run, "--where", "sex=X")
    assert "--class a: people is told sex and age, and not the class" in refused(
        "sample", *run, "--class", "a"
    )
    every = refused("train", "--data", "people.csv", "--condition", "height,sex,weight,age,kind")
    assert "--condition: no column of people is left to learn" in every
    both = refused("train", "--data", "people.csv", "--condition", "age", "--drop", "age")
    assert "--condition age: the column is left out: leave out --drop" in both


@pytest.mark.slow
def test_a_run_goes_on_and_others_start_from_it(inside: Path, use: Use, refused: Refused) -> None:
    own = ("--data", "people.csv", "--condition", "sex,age", "--name", "mine")
    use("train", *SMALL, *own)
    use("train", "--resume", "mine", "--epochs", 2)
    done = use("train", "--start-from", "mine", "--epochs", 1, "--name", "next")
    assert "3 columns" in done.err + done.out
    other = refused("train", "--start-from", "mine", "--condition", "age", "--epochs", 1)
    assert "its weights do not fit: --condition is sex,age, not age" in other


def test_paths_have_the_conditions_of_their_items(
    inside: Path, use: Use, refused: Refused, tiles: Read
) -> None:
    run = ("--run", "clothes", "--scale", 1, "--no-captions")
    model = load("clothes", device="cpu")
    test = model.held_out()
    assert test.condition is not None
    first = test.items_at([0])
    for words, y in {
        (): test.condition[:1].numpy(),
        ("--class", "bag"): "Bag",
        ("--where", "label=Bag"): "Bag",
        ("--class", "(none)"): None,
    }.items():
        use("traverse", *run, *words, "--offset", "0:2:1")
        expected = 255 * model.traverse(first, [0.0, 1.0], y=y)[0, :, 0]
        assert abs(tiles("traverse.png")[0] - expected).max() <= 1
    use("interpolate", *run, "--class", "bag", "--class", "coat", "--steps", 3)
    path, labels = tiles("interpolate.png")[0], test.labels.tolist()
    places = [labels.index(label_of(model, name)) for name in ("Bag", "Coat")]
    ends = model.reconstruct(test.items_at(places), test.condition[places].numpy()).items
    assert abs(path[[0, -1]] - 255 * ends[:, 0]).max() <= 1
    use("manifold", *run, "--class", "coat", "-n", 3)
    use("manifold", *run, "-n", 3, "-o", "none.png")
    assert abs(tiles("manifold.png") - tiles("none.png")).max() > 1
    centre = model.decode(np.zeros((1, 2)), "Coat")[0, 0]
    assert abs(tiles("manifold.png")[1, 1] - 255 * centre).max() <= 1
    for command in ("traverse", "manifold"):
        said = refused(command, *run, "--class", "coot")
        assert "--class coot: did you mean Coat?" in said
        assert "is told nothing about its items" in refused(
            command, "--class", "bag", "--run", "small"
        )


def label_of(model: TrainedModel, name: str) -> int:
    return model.spec.classes.index(name)


def test_paths_of_rows_have_the_conditions_that_are_said(inside: Path, use: Use) -> None:
    run, said = ("--run", "people"), ("--where", "sex=F", "--where", "age=40")
    model = load("people", device="cpu")
    columns = model.spec.column_names
    for words, y in ((("people.csv",), None), ((*said, "people.csv"), {"sex": "F", "age": 40})):
        use("traverse", *run, *words, "--offset", "0:1:1", "-o", "t.csv")
        whole = np.array(
            [[float(row[name]) for name in columns] for row in rows(Path("t.csv").read_text())]
        )
        item = model.kind.read_files([Path("people.csv")]).items[:1]
        expected = model.traverse(item, [0.0], y=y)[0]
        np.testing.assert_allclose(whole, expected, atol=0.06)
    use("manifold", *run, *said, "-n", 2, "-o", "m.csv")
    assert len(rows(Path("m.csv").read_text())) == 4
