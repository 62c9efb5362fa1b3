"""A table with a column of classes, gaps and decimal commas, through every command."""

import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets
from support import Refused, Use

QUICK = ("--epochs", 20, "--latent-dim", 2, "--precision", "float32")
NAMES = ("id", "sepal length", "sepal width", "petal length", "petal width", "kind")
pytestmark = pytest.mark.filterwarnings("ignore:.*missing")


@pytest.fixture
def irises(here: Path) -> Path:
    """The irises with decimal commas, one value of every ninth row missing."""
    data = datasets.load_iris()
    path = here / "iris.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(NAMES)
        for number, (row, kind) in enumerate(zip(data.data, data.target, strict=True)):
            cells = [str(value).replace(".", ",") for value in row]
            cells[number % 4] = "" if number % 9 == 0 else cells[number % 4]
            writer.writerow([f"plant {number}", *cells, data.target_names[kind]])
    return path


def test_each_error_about_a_table_names_the_flag_that_helps(irises: Path, refused: Refused) -> None:
    words: list[object] = ["train", "--data", irises, "--set", "data.rules=2"]
    assert "column id: 'plant 0' is not a number" in refused(*words)
    words = ["train", "--data", irises, "--missing", "error"]
    assert "column sepal length: a value is missing: --missing drop" in refused(*words)
    words = ["train", "--data", irises, "--columns", "kind=number"]
    assert "row 2, column kind: 'setosa' is not a number (nor are row 3 'setosa'," in refused(
        *words
    )
    assert "--columns kind=word: write COLUMN=KIND" in refused(*words[:4], "kind=word")


def test_the_classes_of_a_table_reach_the_map_and_the_file_of_its_embedding(
    irises: Path, here: Path, use: Use
) -> None:
    words = ("--label", "kind", "--drop", "id", "--missing", "mean")
    out, _ = use("data", irises, *words)
    assert [line.split()[-5:] for line in out.splitlines() if line.startswith("kind ")] == [
        ["label", "as", "it", "was", "asked"]
    ]
    use("train", "--data", irises, *words, *QUICK, "--name", "flowers")
    settings = tomllib.loads((here / "runs/flowers/config.toml").read_text())["data"]
    assert (settings["label"], settings["drop"], settings["missing"]) == ("kind", ["id"], "mean")
    use("embed", "-o", "z.csv", "--plot", "map.png")
    with (here / "z.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 150
    kinds = datasets.load_iris().target_names[datasets.load_iris().target]
    assert all(row["label"] == kinds[int(row["name"])] for row in rows)
    points = np.array([[float(row["mean_0"]), float(row["mean_1"])] for row in rows])
    labels = np.array([row["label"] for row in rows])
    centres = np.array([points[labels == kind].mean(0) for kind in np.unique(labels)])
    nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(1)
    assert (np.unique(labels)[nearest] == labels).mean() > 0.7, "the classes are apart"
    _, err = use("interpolate", "--class", "setosa", "--class", "virginica", "-o", "i.csv")
    assert "setosa" in err


def test_a_model_reads_other_tables_as_it_read_its_own(
    irises: Path, here: Path, use: Use, refused: Refused
) -> None:
    words = ("--label", "kind", "--drop", "id", "--missing", "drop")
    use("train", "--data", irises, *words, *QUICK, "--name", "flowers")
    out, err = use("reconstruct", irises, "--json", "-o", "r.csv")
    assert len(json.loads(out)["images"]) == 150 - 17
    assert "a value is missing in 17 of 150 rows" in err
    (here / "bare.csv").write_text(",".join(NAMES[4:0:-1]) + "\n0.2,1.4,3.5,5.1\n")
    out, _ = use("reconstruct", "bare.csv", "--json", "-o", "r.csv")
    assert [one["image"] for one in json.loads(out)["images"]] == ["bare.csv 0"]
    use("embed", "bare.csv", "-o", "bare.npz")
    use("embed", irises, "-o", "all.npz")
    assert set(np.load(here / "all.npz")["label"]) == {"setosa", "versicolor", "virginica"}
    use("train", "--resume", "flowers", "--epochs", 21)
    words = ("train", "--resume", "flowers", "--epochs", 22, "--missing", "mean")
    assert "data.missing is drop, not mean" in refused(*words)


def test_names_are_typed_once_with_commas_or_several_times(
    here: Path, use: Use, refused: Refused
) -> None:
    (here / "t.csv").write_text(
        'a,b,"c, d"\n' + "".join(f"{n / 2},{n * n},x\n" for n in range(400))
    )
    use("data", "t.csv", "--drop", '"c, d"')
    out, _ = use("data", "t.csv", "--drop", '"c, d",a')
    assert out == use("data", "t.csv", "--drop", "a", "--drop", '"c, d"').out
    assert "a name is empty" in refused("data", "t.csv", "--drop", "a,,b")
    assert "--label, --drop, --id, --columns and --missing are for tables" in refused(
        "data", "--label", "a"
    )
