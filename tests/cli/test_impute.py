"""`vae impute`: the holes of a table are filled, and everything else stays as it is in the file."""

import csv
import json
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.imputation import (
    fill_with_means,
    fill_with_regressions,
    fill_with_vae,
    hide,
    measure,
)
from sklearn.datasets import load_wine
from support import Refused, Use

from vae_cli import load
from vae_cli.cli._app import main

HIDDEN = 0.2  # the share of the cells


def orders(count: int, seed: int) -> pd.DataFrame:
    """Orders of which everything follows from one number, nearly; the last column is an id."""
    random = np.random.default_rng(seed)
    size = random.uniform(1, 9, count)
    days = (30 * size + random.normal(0, 3, count)).astype(int)
    return pd.DataFrame(
        {
            "weight": [f"{one:.2f}" for one in 3 * size + random.normal(0, 0.3, count)],
            "kind": np.where(size > 6, "large", np.where(size > 3, "usual", "small, light")),
            "pieces": (10 * size + random.normal(0, 1, count)).round().astype(int).astype(str),
            "day": (pd.Timestamp("2024-01-01") + pd.to_timedelta(days, "D")).strftime("%d.%m.%Y"),
            "order": [f"A-{10_000 * seed + number:07}" for number in range(count)],
        }
    )


@pytest.fixture(scope="module")
def orders_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run `orders`, a table `truth.csv`, and the same with holes in `holes.csv`."""
    folder = tmp_path_factory.mktemp("orders")
    with chdir(folder):
        orders(1500, 0).to_csv("orders.csv", index=False)
        truth = orders(300, 1)
        truth.insert(2, "note", "  as it is ")  # a column that the model has never seen
        truth.to_csv("truth.csv", index=False, sep=";")
        hidden = np.random.default_rng(2).random(truth.shape) < HIDDEN
        hidden[:, [2, 5]] = False
        hidden[0] = False
        truth.mask(hidden).to_csv("holes.csv", index=False, sep=";", na_rep="NA")
        words = ["train", "--data", "orders.csv", "--id", "order", "--name", "orders", "-q"]
        words += [
            "--beta",
            "1",
        ]  # the uncertainty of holes is that of a density, see docs/tables.md
        assert main([*words, "--epochs", "60", "--latent-dim", "3"]) == 0
    return folder


@pytest.fixture
def here(tmp_path: Path, orders_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, made the current one, with the tables and the run."""
    (tmp_path / "runs").mkdir(exist_ok=True)
    for name in ("runs/orders", "orders.csv", "truth.csv", "holes.csv"):
        (tmp_path / name).symlink_to(orders_home / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cells(path: str) -> list[list[str]]:
    with Path(path).open(newline="") as file:
        return list(csv.reader(file, delimiter=";"))


def distance(full: pd.DataFrame, truth: pd.DataFrame, column: str) -> float:
    """The root of the mean squared error in units of the deviation, over what was hidden."""
    hidden = pd.read_csv("holes.csv", sep=";")[column].isna()
    read = (
        (lambda s: pd.to_datetime(s, format="%d.%m.%Y").astype("int64"))
        if column == "day"
        else pd.to_numeric
    )
    error = (read(full[column]) - read(truth[column]))[hidden].astype(float)
    return float(np.sqrt((error**2).mean()) / read(truth[column]).std())


def test_only_holes_change_and_what_fills_them_is_near_the_truth(use: Use, here: Path) -> None:
    found = json.loads(use("impute", "holes.csv", "-o", "full.csv", "--json").out)
    before, after = cells("holes.csv"), cells("full.csv")
    assert [len(row) for row in after] == [6] * 301
    pairs = [
        (a, b)
        for one, other in zip(before, after, strict=True)
        for a, b in zip(one, other, strict=True)
    ]
    assert all(a == b or (a == "NA" and b != "NA") for a, b in pairs)
    assert found["rows"] == 300
    assert sum(column["holes"] for column in found["columns"].values()) == sum(
        a == "NA" for a, _ in pairs
    )
    full, truth = (pd.read_csv(name, sep=";", dtype=str) for name in ("full.csv", "truth.csv"))
    for column in ("weight", "pieces", "day"):
        assert distance(full, truth, column) < 0.35, "with the mean of the column it is 1"
    hidden = pd.read_csv("holes.csv", sep=";")["kind"].isna()
    assert (full["kind"] == truth["kind"])[hidden].mean() > 0.85
    assert full["pieces"].str.fullmatch(r"\d+").all()
    assert full["weight"].str.fullmatch(r"\d+\.\d\d?").all()
    assert full["day"].str.fullmatch(r"\d\d\.\d\d\.\d{4}").all()
    assert "no value is missing" in use("impute").err, "of the table of the run"
    use("impute", "holes.csv", "-o", "again.csv")
    assert Path("again.csv").read_bytes() == Path("full.csv").read_bytes()


def test_ranges_hold_as_many_values_as_they_say(use: Use, here: Path) -> None:
    use("impute", "holes.csv", "--uncertainty", "cells.csv")
    truth, found = pd.read_csv("truth.csv", sep=";", dtype=str), pd.read_csv("cells.csv", dtype=str)
    assert list(found) == [
        "row",
        "id",
        "column",
        "value",
        "deviation",
        "low",
        "high",
        "probability",
    ]
    real = np.array(
        [truth[column][int(row)] for row, column in zip(found["row"], found["column"], strict=True)]
    )
    assert (found["id"] == truth["order"][found["row"].astype(int)].to_numpy()).all()
    is_number = found["column"].isin(["weight", "pieces"])
    low, high, value = (
        np.asarray(one[is_number], float) for one in (found["low"], found["high"], real)
    )
    assert 0.8 < ((low <= value) & (value <= high)).mean() < 0.99
    is_kind = found["column"] == "kind"
    chance, hit = (
        found["probability"][is_kind].astype(float),
        real[is_kind] == found["value"][is_kind],
    )
    assert abs(chance.mean() - hit.mean()) < 0.12
    assert found["deviation"][is_kind].isna().all()


def test_draws_differ_as_much_as_the_model_is_uncertain(use: Use, here: Path) -> None:
    use("impute", "holes.csv", "-o", "draws.csv", "--draws", 20)
    found = pd.read_csv("draws.csv", sep=";")
    assert found["draw"].tolist() == [number for number in range(1, 21) for _ in range(300)]
    use("impute", "holes.csv", "--uncertainty", "cells.csv")
    uncertain = pd.read_csv("cells.csv")
    places = uncertain[uncertain["column"] == "weight"]
    weights = found["weight"].to_numpy().reshape(20, 300)
    drawn = weights[:, places["row"]].std(0, ddof=1)
    assert drawn.mean() == pytest.approx(places["deviation"].mean(), rel=0.15)
    complete = ~pd.read_csv("holes.csv", sep=";")["weight"].isna()
    assert (weights[:, complete] == weights[0, complete]).all()


def test_what_the_model_does_not_know_stays(use: Use, here: Path) -> None:
    Path("new.csv").write_text(
        "kind,day,weight,pieces,shelf\nhuge,,5.5,,=1+1\nNA,01.03.2024,NA,-,\nusual,,,,\n"
    )
    out, err = use("impute", "new.csv", "-o", "-")
    header, first, second, _ = list(csv.reader(out.splitlines()))
    assert header == ["kind", "day", "weight", "pieces", "shelf"]
    assert (first[0], first[2], first[4]) == ("huge", "5.5", "=1+1")
    assert second[1] == "01.03.2024"
    assert all([*first[:4], *second[:4]])
    assert "never saw counts as missing: huge" in err
    assert "no value is missing" in use("impute", "truth.csv", "-o", "same.csv").err
    assert Path("same.csv").read_bytes() == Path("truth.csv").read_bytes()


def test_a_parquet_file_has_types_and_keeps_what_is_known(use: Use, here: Path) -> None:
    use("impute", "holes.csv", "-o", "typed.parquet")
    typed, known = pd.read_parquet("typed.parquet"), pd.read_csv("holes.csv", sep=";")
    assert not typed.isna().any().any()
    assert [str(typed[name].dtype) for name in ("weight", "pieces")] == ["float64", "int64"]
    days = pd.to_datetime(known["day"], format="%d.%m.%Y")
    for name, cells in known.assign(day=days).items():
        is_known = cells.notna()
        found = pd.to_datetime(typed[name]) if name == "day" else typed[name]
        assert (found[is_known] == cells[is_known]).all(), name

    weights, shelf = known["weight"], range(len(known))
    known.assign(shelf=shelf).to_parquet("holes.parquet")
    use("impute", "holes.parquet", "-o", "draws.parquet", "--draws", 2)
    draws = pd.read_parquet("draws.parquet")
    assert draws["draw"].tolist() == [1] * 300 + [2] * 300
    assert draws["shelf"].tolist() == [*shelf, *shelf]
    assert [str(draws[name].dtype) for name in ("weight", "pieces", "shelf")] == [
        "float64",
        "int64",
        "int64",
    ]
    is_known = weights.notna().to_numpy()
    for number in (1, 2):
        found = draws["weight"][draws["draw"] == number].to_numpy()
        assert not np.isnan(found).any()
        assert (found == weights.to_numpy())[is_known].all()


def test_python_fills_frames(here: Path) -> None:
    model, truth = load("orders"), pd.read_csv("truth.csv", sep=";")
    holes = pd.read_csv("holes.csv", sep=";").drop(columns="note")
    full = model.impute(holes, seed=0)
    assert not full.isna().any().any()
    known = holes["weight"].notna().to_numpy()
    assert (full["weight"].to_numpy() == truth["weight"].to_numpy())[known].all()
    first, second = (one["weight"] for one in model.impute(holes, draws=2, seed=0))
    assert (first == second)[known].all()
    assert (first == second)[~known].mean() < 0.2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nothing.csv"], "nothing.csv does not exist"),
        (
            ["holes.csv", "-o", "a.json"],
            "--output a.json: end the name with .csv, .tsv or .parquet",
        ),
        (["holes.csv", "-o", "holes.csv"], "--output holes.csv would overwrite what is read"),
        (["holes.csv", "--uncertainty", "-"], "--uncertainty -: only tables go there"),
    ],
)
def test_what_cannot_be_filled_is_refused(
    here: Path, refused: Refused, words: list[str], line: str
) -> None:
    assert refused("impute", *words, "-q").startswith(line)


@pytest.mark.slow
def test_holes_of_wine_are_filled_better_than_by_means_and_by_regressions(
    tmp_path: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three times another fifth of the cells; the kinds are few, so all three count together."""
    monkeypatch.chdir(tmp_path)
    table = load_wine(as_frame=True)
    truth = table.frame.rename(columns={"target": "kind"})
    truth["kind"] = table.target_names[truth["kind"]]
    fill_with = {"means": fill_with_means, "regressions": fill_with_regressions}
    fill_with["vae"] = fill_with_vae(["--beta", "1", "--epochs", "600", "--latent-dim", "10"])
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in fill_with}
    for seed in range(3):
        holes = hide(truth, seed)
        holes[truth.columns[:-1]] = holes[truth.columns[:-1]].astype(float)
        for name, fill in fill_with.items():
            found[name].append(measure(fill(holes, holes), truth, holes))
    means, regressions, vae = (np.mean(found[name], 0) for name in fill_with)
    assert vae[0] < regressions[0] < means[0]
    assert vae[1] > regressions[1] > means[1]
