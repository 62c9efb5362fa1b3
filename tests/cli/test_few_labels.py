"""A model that learns from few labels, `--objective m2`, through the commands."""

import csv
import json
from pathlib import Path

import pytest
from sklearn import datasets
from support import Refused, Use

M2 = ("--data", "wine.csv", "--condition", "label", "--label", "kind", "--objective", "m2")
QUICK = ("--epochs", 30, "--latent-dim", 2, "--hidden", 32, "--precision", "float32", "--seed", 0)


@pytest.fixture(autouse=True)
def wine(here: Path) -> None:
    """The wines with their three kinds."""
    table = datasets.load_wine(as_frame=True).frame
    table["kind"] = table.pop("target").map(dict(enumerate("abc")))
    table.to_csv("wine.csv", index=False)


@pytest.mark.slow
def test_the_accuracy_of_the_classifier_is_in_every_table_and_few_labels_are_enough(
    here: Path, use: Use
) -> None:
    """Of 160 wines, 12 keep their kind; the largest kind has 0.4 of them."""
    few = ("--set", "data.labelled=12", "--set", "objective.classifier_weight=100")
    out, _ = use("train", *M2, *few, *QUICK, "--name", "wine")
    assert " accuracy " in out.splitlines()[0]
    with (here / "runs/wine/metrics.csv").open(newline="") as file:
        trained = list(csv.DictReader(file))
    accuracy = float(trained[-1]["test_accuracy"])
    assert accuracy > 0.8
    found = json.loads(use("evaluate", "--json", "--samples", 10).out)["figures"][
        "classifier_accuracy"
    ]
    runs = json.loads(use("runs", "--json").out)
    assert "q(y|x)" in found["definition"]
    shown = next(row for row in runs if row["name"] == "wine")["metrics"]["test_accuracy"]
    assert found["value"] == pytest.approx(shown, abs=1e-4)
    use("sample", "-n", 4, "-o", "samples.csv")
    use("reconstruct", "-o", "reconstruction.csv")


def test_what_m2_needs_is_said_in_one_line(refused: Refused) -> None:
    line = refused("train", *M2[:2], "--objective", "m2")
    assert line.startswith("--objective m2 needs one condition with categories, such as ")
    assert "not alcohol" in refused("train", *M2[:2], "--condition", "alcohol", *M2[-2:])
    line = refused("train", *M2, "--set", "data.labelled=1.5")
    assert line.startswith("--set data.labelled=1.5: more than 1 is a number of items")
    line = refused("train", "--set", "data.labelled=5")
    assert line == "--set data.labelled=5 needs --condition"
