"""What items are conditioned on: columns of a table, classes and factors, in own and other data."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_cli.data.arrays import Arrays
from vae_cli.data.catalogue import open_dataset_for
from vae_cli.data.conditioning import condition_on
from vae_cli.data.dataset import Dataset, TableRules, ignore_progress
from vae_cli.data.shapes import Shapes, factors
from vae_cli.data.statistics import digest_splits
from vae_cli.data.table import Table, read_table_like
from vae_cli.errors import UsageError

NAN = float("nan")
MODEL = TableRules("kind", ("note",), "model", id="key", kinds=("x=integer", "age=integer"))
ROWS = ["key,kind,sex,x,age,note,y"] + [
    f"k{n},{('rose', 'iris', '')[n % 3]},{('f', 'm', '')[n % 3]},{n},{n + 18},,{n * n}"
    for n in range(30)
]


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def table(path: Path, *names: str, fraction: float = 0.3) -> Dataset:
    return condition_on(Table(path, rules=MODEL, test_fraction=fraction), names)


def rows_by_x(dataset: Dataset) -> dict[float, list[float]]:
    """The condition of each row, by its value of x, with -1 for what is not known."""
    return {
        float(items[0]): facts.nan_to_num(-1).tolist()
        for part in dataset.splits().values()
        for items, facts in zip(part.items_at(slice(None)), part.condition, strict=True)  # type: ignore[arg-type]
    }


def test_columns_are_taken_out_of_rows_which_stay_in_their_parts(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", *ROWS)
    plain, told = table(path), table(path, "age", "kind", "sex")
    assert told.spec.column_names == ("x", "y")
    assert [column.name for column in told.spec.condition] == ["age", "kind", "sex"]
    assert told.spec.condition[1].categories == ("iris", "rose")
    codes = [[1, 0], [0, 1], [-1, -1]]
    assert rows_by_x(told) == {n: [n + 18, *codes[n % 3]] for n in range(30)}
    for mine, others in zip(told.parts[:2], plain.parts[:2], strict=True):
        assert torch.equal(mine.rows, others.rows)
        assert mine.shape == (2,)
    assert told.parts.test.items is told.parts.train.items  # type: ignore[union-attr]
    assert table(path, "label").spec.condition == told.spec.condition[1:2]


def test_a_condition_counts_as_contents_of_the_data(tmp_path: Path) -> None:
    digests = []
    for cell in ("f,0", "m,0"):
        path = written(tmp_path / "t.csv", *ROWS[:1], f"k0,rose,{cell},18,,0", *ROWS[2:])
        parts = table(path, "sex").parts
        digests.append(digest_splits(parts.train, parts.test))
    assert digests[0] != digests[1]


def test_the_same_facts_are_found_in_another_table(tmp_path: Path) -> None:
    """Its columns may have another order, and classes and categories that nobody has seen."""
    spec = table(written(tmp_path / "t.csv", *ROWS), "age", "kind", "sex").spec
    lines = ["sex,y,kind,x,age", "m,1,rose,0,50", ",1,fern,1,", "f,1,,2,20", "m,1,iris,3,1"]
    path = written(tmp_path / "new.csv", *lines)
    with pytest.warns(UserWarning, match=r"never seen the class fern, which counts as none"):
        found = open_dataset_for(spec, str(path), ignore_progress)
    expected = {0.0: [50, 1, 1], 1.0: [-1, -1, -1], 2.0: [20, -1, 0], 3.0: [1, 0, 1]}
    assert rows_by_x(found) == expected
    assert dataclasses.replace(found.spec, name="t", classes=spec.classes) == spec
    own = open_dataset_for(spec, str(tmp_path / "t.csv"), ignore_progress, test_fraction=0.3)
    parts = (table(tmp_path / "t.csv", "age", "kind", "sex").parts, own.parts)
    digests = {digest_splits(part.train, part.test) for part in parts}
    assert len(digests) == 1, "the rows of the training are in the same parts again"
    whole = read_table_like(path, spec).rows.nan_to_num(-1).tolist()
    assert whole == [[x, 1.0, *facts] for x, facts in expected.items()]
    for lacking, name in (("sex", "sex"), ("kind", "kind")):
        other = written(tmp_path / "o.csv", lines[0].replace(lacking, "note"), *lines[1:2])
        with pytest.raises(UsageError, match=f"lacks {name}"):
            open_dataset_for(spec, str(other), ignore_progress)


@pytest.mark.filterwarnings("ignore:.*missing value is replaced")
def test_a_model_without_holes_fills_or_refuses_those_of_a_condition_too(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "sex,x", *(f"{'fm'[n % 2]},{n}" for n in range(20)), ",99")
    rules = TableRules(missing="mean", kinds=("x=integer",))
    told = condition_on(Table(path, rules=rules, test_fraction=0.3), ["sex"])
    assert rows_by_x(told)[99.0] in ([0.0], [1.0])
    assert len(told.spec.table.means) == 2, "the second one is that of the condition"
    again = open_dataset_for(told.spec, str(path), ignore_progress)
    assert rows_by_x(again) == rows_by_x(told)


@pytest.mark.filterwarnings("ignore:.*never changes")
def test_factors_and_classes_of_images(tmp_path: Path) -> None:
    shapes = condition_on(Shapes(test_fraction=0.1, name="shapes-32"), ["scale", "label"])
    scale, label = shapes.spec.condition
    assert (scale.categories, label.categories[2]) == (("0.5", "0.67", "0.83", "1"), "heart")
    test = shapes.test()
    assert test.condition is not None
    assert torch.equal(test.condition, factors()[test.rows][:, [1, 0]].double())

    images = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
    arrays = {"images": images, "labels": np.array(["a", "b", ""] * 8)}
    np.savez(tmp_path / "x.npz", **arrays, factors=np.arange(24)[:, None] % 4)  # type: ignore[arg-type]
    told = condition_on(Arrays(tmp_path / "x.npz", test_fraction=0.3), ["factor 1", "label"])
    train = told.train()
    assert train.condition is not None
    expected = torch.stack([train.rows % 4, train.rows % 3], 1).double()
    assert torch.equal(train.condition.nan_to_num(2.0), expected), "an empty label is none"

    np.save(tmp_path / "bare.npy", images)
    with pytest.warns(UserWarning, match="has no classes, so the label of each item counts as no"):
        bare = open_dataset_for(told.spec, str(tmp_path / "bare.npy"), ignore_progress)
    with pytest.warns(UserWarning, match="does not tell factor 1, which counts as not known"):
        assert bare.test().condition.isnan().all()  # type: ignore[union-attr]


def test_conditions_that_there_are_not_are_refused_with_the_nearest_one(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", *ROWS)
    for names, reason in {
        ("sx",): "data.condition sx: t has no such column; did you mean sex?",
        ("note",): "data.condition note: the column is left out: leave out data.drop, or",
        ("key",): "data.condition key: the column only tells rows apart",
        ("kind", "label"): "data.condition names kind twice",
        ("x", "y", "sex", "age"): "data.condition: no column of t is left to learn",
    }.items():
        with pytest.raises(UsageError, match=re.escape(reason)):
            table(path, *names)
    np.save(tmp_path / "x.npy", np.zeros((9, 4, 4), np.uint8))
    bare = Arrays(tmp_path / "x.npy", test_fraction=0.3)
    with pytest.raises(UsageError, match="x has no label: its items have no classes"):
        condition_on(bare, ["label"])
