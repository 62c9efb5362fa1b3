"""Models of p(x|y) in Python: every way to say y means the same, and what is returned has it."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from vae_cli import train
from vae_cli.api.embeddings import embed
from vae_cli.api.evaluation import own_training_set
from vae_cli.api.model import TrainedModel
from vae_cli.data.columns import CellFormat, Column
from vae_cli.data.condition_values import condition_rows
from vae_cli.errors import UsageError
from vae_cli.runs.resolve import resolve

NAN = float("nan")
SEX = Column(name="sex", kind="category", categories=("F", "M"))
AGE = Column(name="age", kind="integer")
SINCE = Column(name="since", kind="date", format=CellFormat(date="%d.%m.%Y"))
ALL = (SEX, AGE, SINCE)


def test_conditions_are_read_by_their_names() -> None:
    for y, expected in {
        "m": [[1], [1]],
        ("F", None): [[0], [NAN]],
        ("(none)", "NA"): [[NAN], [NAN]],
    }.items():
        given = list(y) if isinstance(y, tuple) else y
        torch.testing.assert_close(
            condition_rows([SEX], given, 2), torch.tensor(expected).double(), equal_nan=True
        )
    frame = pd.DataFrame({"age": [30, None], "sex": ["F", "M"]})
    mapping = {"age": [30, None], "sex": np.array(["F", "M"])}
    raw = [[0, 30, NAN], [1, NAN, NAN]]
    for y in (frame, mapping, np.array(raw), torch.tensor(raw)):
        found = condition_rows(ALL, y, 2)
        torch.testing.assert_close(found, torch.tensor(raw).double(), equal_nan=True)
    one = condition_rows(ALL, {"since": "02.01.1970", "age": 7}, 2).nan_to_num(-1).tolist()
    assert one == [[-1, 7, 86400.0]] * 2


def test_what_is_no_condition_is_refused_with_the_nearest_one() -> None:
    for columns, y, reason in [
        ([SEX], "Mm", "y sex=Mm: did you mean M?"),
        ([SEX], ["F"], "y sex: 1 value for 2 items"),
        (ALL, "F", "y: say of which columns these are: sex, age or since"),
        (ALL, {"sx": "F"}, "y sx: the model was not told it; did you mean sex?"),
        (ALL, {"age": "old"}, "y age=old: the column has numbers"),
        ([SEX], np.array([[0], [2]]), "y: 2 is no sex"),
        ([SEX], np.array([0, 1]), "y of 2: numbers are rows of 2x1"),
    ]:
        with pytest.raises(UsageError, match=re.escape(reason)):
            condition_rows(columns, y, 2)


Fit = Callable[..., TrainedModel]
SIZES = {"epochs": 1, "latent_dim": 2, "hidden": [8], "batch_size": 32, "precision": "float32"}


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    monkeypatch.chdir(tmp_path)

    def train_small(**settings: Any) -> TrainedModel:
        return train({**SIZES, "device": "cpu", **settings})

    return train_small


def test_labels_that_were_hidden_stay_hidden_from_what_is_fitted_afterwards(fit: Fit) -> None:
    """A prior over codes is told the conditions that the training was told, and no others."""
    model = fit(limit=64, condition=["label"], labelled=20, validation=0.2)
    trained_on = resolve(model.facts.config, torch.device("cpu")).train.condition
    found = own_training_set(model).condition
    assert trained_on is not None
    assert found is not None
    assert found.equal(trained_on)
    assert found[:, -1].sum() == len(found) - 20


def test_classes_of_images(fit: Fit) -> None:
    model = fit(limit=64, condition=["label"])
    test = model.held_out()
    x, y = test.items_at(range(6)), test.condition[:6]  # type: ignore[index]
    names = [model.spec.classes[label] for label in test.labels[:6].tolist()]
    for told in (names, {"label": names}):
        assert np.array_equal(model.encode(x, told).mean, model.encode(x, y).mean)
    unknown = model.encode(x).mean
    assert np.array_equal(model.encode(x, [None] * 6).mean, unknown)
    assert not np.allclose(model.encode(x, names).mean, unknown)
    embedding = embed(model, model.data())
    assert np.allclose(embedding.mean[64:70], model.encode(x, names).mean, atol=1e-5)

    z = model.sample_latents(6, seed=1)
    assert np.array_equal(model.sample(6, names, seed=1), model.decode(z, names))
    assert np.array_equal(model.sample(6, seed=1), model.decode(z))
    assert not np.allclose(model.decode(z, "Bag"), model.decode(z, "Coat"))
    assert model.sample(2, where={"label": "Bag"}, seed=1) == pytest.approx(
        model.sample(2, where={"label": ["Bag"]}, seed=1)
    )
    with pytest.raises(UsageError, match="y label=Bga: did you mean Bag"):
        model.sample(2, "Bga")


PEOPLE = 200


def people(seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    sex, age = random.integers(0, 2, PEOPLE), random.integers(18, 80, PEOPLE)
    height = 165 + 12 * sex + random.normal(0, 5, PEOPLE)
    frame = pd.DataFrame({"height": height.round(1), "sex": np.array(["F", "M"])[sex]})
    frame["weight"] = (height - 100 + random.normal(0, 8, PEOPLE)).round(1)
    frame["age"] = age
    frame.loc[:9, "sex"] = None
    return frame


def test_columns_of_tables(fit: Fit) -> None:
    frame = people()
    frame.to_csv("people.csv", index=False)
    model = fit(data="people.csv", condition=["sex", "age"])
    assert model.spec.column_names == ("height", "weight")
    assert model.settings.objective.beta == 1, "its samples come from the prior"  # type: ignore[union-attr]
    found = model.sample(500, seed=0)
    assert found.shape == (500, 4)
    table = model.frame(found).to_pandas()
    assert list(table.columns) == ["height", "sex", "weight", "age"], "as in the file"
    assert set(table["age"]) <= set(frame["age"])
    assert 0.02 < table["sex"].isna().mean() < 0.09, "one in twenty is not known"

    women = model.frame(model.sample(50, where={"sex": "F", "age": (30, 40)}, seed=0)).to_pandas()
    assert set(women["sex"]) == {"F"}
    assert women["age"].between(30, 40).all()
    tall = model.sample(5, where={"sex": "M", "height": (160, None)}, seed=0)
    assert (tall[:, 0] >= 160).all()
    assert (tall[:, 2] == 1).all()
    unseen = model.sample(3, where={"age": 150}, seed=0)
    assert np.isnan(unseen[:, 2]).all()
    assert (unseen[:, 3] == 150).all()
    with pytest.raises(UsageError, match="no item of the training set meets these"):
        model.sample(3, where={"age": (150, 160)})

    some = frame.iloc[20:30]
    rows, y = some[["height", "weight"]].to_numpy(), some[["sex", "age"]]
    mean = model.encode(some).mean
    assert np.array_equal(model.encode(rows, y).mean, mean)
    assert np.array_equal(model.encode(some[["height", "weight"]], y).mean, mean)
    with pytest.raises(UsageError, match="lacks age"):
        model.encode(some.drop(columns="age"))
    decoded = model.reconstruct(some).items
    assert list(decoded["sex"]) == list(some["sex"])
    assert np.array_equal(model.encode(decoded[frame.columns]).mean, model.encode(decoded).mean)

    holes = some.copy()
    holes.loc[20:22, "weight"] = None
    filled = model.impute(holes, seed=0)
    assert filled["weight"].notna().all()
    assert list(filled["age"]) == list(some["age"])
    others = (
        model.impute(holes.assign(sex="F"), seed=0),
        model.impute(holes.assign(sex="M"), seed=0),
    )
    assert not np.allclose(others[0]["weight"], others[1]["weight"])


def test_conditions_of_rows_that_are_left_out_are_left_out_too(fit: Fit) -> None:
    frame = people().dropna()
    frame.to_csv("people.csv", index=False)
    model = fit(data="people.csv", condition=["sex"], missing="drop")
    some = frame.head(4).reset_index(drop=True)
    sexes = list(some.pop("sex"))
    rows = some.to_numpy(np.float64)
    some.loc[1, "weight"] = rows[1, 1] = NAN
    kept = [0, 2, 3]
    expected = model.encode(rows[kept], [sexes[place] for place in kept]).mean
    for items in (rows, some):
        with pytest.warns(UserWarning, match="1 of 4 rows"):
            assert np.array_equal(model.encode(items, sexes).mean, expected)
    with warnings.catch_warnings(action="error"):  # y stands for the column, whoever learned it
        whole = model.encode(frame.iloc[kept], [sexes[place] for place in kept]).mean
    assert np.array_equal(whole, expected)
