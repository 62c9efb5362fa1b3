"""Arrays and data frames from Python: columns by name, never by position."""

import dataclasses
import datetime
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from vae_cli.api.arrays import to_array, to_tensor
from vae_cli.api.model import TrainedModel
from vae_cli.data.columns import Column, number_columns
from vae_cli.data.dataset import Spec, TableRules
from vae_cli.data.table import is_frame, read_source_like
from vae_cli.data.table_source import open_frame
from vae_cli.errors import UsageError


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_an_array_of_numbers_becomes_a_tensor_that_shares_its_memory(dtype: type) -> None:
    array = np.ones((2, 3), dtype)
    tensor = to_tensor(array)
    assert tensor.shape == (2, 3)
    array[0, 0] = 0
    assert tensor[0, 0] == 0


def test_an_array_that_is_read_only_gives_no_warning() -> None:
    array = np.ones(3)
    array.flags.writeable = False
    assert to_tensor(array).tolist() == [1, 1, 1]


def test_a_tensor_is_returned_as_it_is() -> None:
    tensor = torch.ones(2)
    assert to_tensor(tensor) is tensor


def test_nested_lists_of_numbers_are_accepted() -> None:
    assert to_tensor([[0.5, 1], [2, 3]]).tolist() == [[0.5, 1], [2, 3]]


@pytest.mark.parametrize("wrong", ["a.png", ["a", "b"], None, {"a": 1}, [1j], np.array([object()])])
def test_values_that_are_not_real_numbers_are_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match=f"arrays of numbers, not {type(wrong).__name__}$"):
        to_tensor(wrong)  # type: ignore[arg-type]


def test_parts_are_joined_along_the_first_axis() -> None:
    joined = to_array(torch.zeros(2, 3), torch.ones(1, 3))
    assert joined.dtype == np.float32
    assert joined.tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]


COLUMNS = ("a", "b", "c")
ROWS = np.array([[1.0, 20, 300], [4, 50, 600], [7, 80, 900]])
SPEC = Spec("t", (3,), columns=number_columns(*COLUMNS), table=TableRules("kind", ("id",)))


class Frame:
    """What frames of pandas and polars have in common."""

    def __init__(self, columns: dict[Any, Any]) -> None:
        self.values, self.columns = columns, list(columns)

    def __getitem__(self, name: Any) -> Any:
        return self.values[name]

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise AssertionError("a frame is never read by position")


class Row:
    """What a row of pandas has: `keys`, and values by name."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def keys(self) -> Iterator[str]:
        return iter(self.values)


def make(frame: Any, names: str = "cab", **more: Any) -> Any:
    """A frame with the columns in another order."""
    return frame({name: ROWS[:, COLUMNS.index(name)] for name in names} | more)


def read(frame: Any, spec: Spec = SPEC) -> np.ndarray:
    assert is_frame(frame)
    return read_source_like(open_frame(frame), spec).rows.numpy()


@pytest.mark.parametrize("kind", [Frame, dict, pa.table, pa.RecordBatch.from_pydict])
def test_columns_are_found_by_name(kind: Any) -> None:
    for frame in (make(kind), make(kind, "bca", kind=["x", "y", "x"], id=[7, 8, 9])):
        assert read(frame).tolist() == ROWS.tolist()
    index = {"Unnamed: 0": [0, 1, 2]}
    assert read(kind(index | make(dict))).tolist() == ROWS.tolist()
    for wrong, reason in (
        (make(kind, "ab"), "the frame lacks c: the model learned 3 columns of t"),
        (kind(make(dict, "ab") | {"c": ["x", "y", "z"]}), "row 0, column c: 'x' is not a number"),
        (kind(make(dict, "ab") | {"c": [True, False, True]}), "column c: 'True' is not a number"),
    ):
        with pytest.raises(UsageError, match=reason):
            read(wrong)
    more = read_source_like(open_frame(make(kind, "abc", z=[1, 2, 3])), SPEC)
    assert more.rows.tolist() == ROWS.tolist()
    assert more.notes == ("z: ignored, because the model of t did not learn such columns",)


def test_frames_of_pandas_and_polars_have_types() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = (
        Column(name="cut", kind="category", categories=("Fair", "Good")),
        Column(name="day", kind="date"),
        Column(name="is new", kind="category", categories=("False", "True")),
        Column(name="x", kind="number"),
    )
    spec = Spec("t", (4,), columns=columns, table=TableRules(missing="model"))
    values = {
        "x": [1.5, None],
        "cut": ["Good", None],
        "day": [datetime.date(1970, 1, 2), None],
        "is new": [True, False],
    }
    typed = pandas.DataFrame(values)
    typed = typed.assign(day=pandas.to_datetime(typed["day"]), cut=typed["cut"].astype("category"))
    known = polars.DataFrame(values)
    for frame in (
        pandas.DataFrame(values),
        typed,
        known,
        known.with_columns(polars.col("cut").cast(polars.Categorical)),
        pa.table(values),
    ):
        rows = read(frame, spec)
        np.testing.assert_array_equal(rows, [[1, 86400, 1, 1.5], [np.nan, np.nan, 0, np.nan]])


def test_one_row_has_one_value_for_each_name() -> None:
    row = {"b": 20.0, "id": 5, "c": 300, "a": np.float32(1)}
    for frame in (row, Row(row)):
        assert read(frame).tolist() == [[1, 20, 300]]


def test_numbers_instead_of_names_are_no_names() -> None:
    frame = Frame({0: ROWS[:, 0], 1: ROWS[:, 1], 2: ROWS[:, 2]})
    assert read(frame).tolist() == ROWS.tolist()
    unnamed = dataclasses.replace(SPEC, columns=number_columns("column 1", "column 2", "column 3"))
    assert read(make(Frame, "cab"), unnamed).tolist() == ROWS[:, [2, 0, 1]].tolist()
    for array in (ROWS, ROWS.tolist(), [1.0], 5):
        assert not is_frame(array)


def test_names_that_are_not_unique_and_columns_that_do_not_fit_together_are_refused() -> None:
    twice = Frame({"a": ROWS[:, 0], "b": ROWS[:, 1], "c": ROWS[:, 2]})
    twice.columns.append("c")
    with pytest.raises(UsageError, match="the frame has several columns with the same name: c"):
        read(twice)
    with pytest.raises(UsageError, match="the frame has columns of different lengths"):
        read({"a": [1, 2], "b": [1, 2], "c": [1, 2, 3]})
    lazy = make(Frame)
    lazy.values = None
    with pytest.raises(UsageError, match="Frame gives no columns"):
        read(lazy)


def test_a_model_reads_frames_by_name_and_treats_missing_values_as_its_run_does(
    wine: TrainedModel,
) -> None:
    rows = wine.held_out().items[:5].numpy()
    named = dict(zip(wine.spec.column_names, rows.T, strict=True))
    shuffled = pa.table({name: named[name] for name in reversed(wine.spec.column_names)})
    expected = wine.encode(rows).mean
    np.testing.assert_array_equal(wine.encode(shuffled).mean, expected)
    np.testing.assert_array_equal(wine.reconstruct(shuffled).items, wine.reconstruct(rows).items)

    gaps, means = rows.copy(), rows.mean(0)
    gaps[1, 2] = gaps[3, 0] = np.nan
    frame = pa.table(dict(zip(wine.spec.column_names, gaps.T, strict=True)))
    nulls = pa.table(
        {
            name: [None if np.isnan(v) else v for v in column.tolist()]
            for name, column in zip(wine.spec.column_names, gaps.T, strict=True)
        }
    )
    for given in (gaps, frame, nulls):
        place = "row 1, column ash.*: fill it in"
        with pytest.raises(UsageError, match=place):
            with_rules(wine, TableRules(missing="error")).encode(given)
        mean = wine.encode(given).mean
        np.testing.assert_allclose(mean[[0, 2, 4]], expected[[0, 2, 4]], rtol=1e-5)
        assert np.isfinite(mean).all()
        assert not np.isclose(mean[[1, 3]], expected[[1, 3]]).all(1).any()
        with pytest.warns(
            UserWarning, match="a value is missing in 2 of 5 rows; they are left out"
        ):
            found = with_rules(wine, TableRules(missing="drop")).encode(given).mean
        np.testing.assert_allclose(found, expected[[0, 2, 4]], rtol=1e-5)
        filled = np.where(np.isnan(gaps), means, gaps)
        mean = with_rules(wine, TableRules(missing="mean", means=tuple(means.tolist())))
        with pytest.warns(UserWarning, match="2 missing values are replaced by the mean"):
            np.testing.assert_array_equal(mean.encode(given).mean, wine.encode(filled).mean)
    assert np.isnan(gaps).sum() == 2, "the array of the caller is not changed"
    with pytest.raises(UsageError, match="a value is missing in every row, so none is left"):
        with_rules(wine, TableRules(missing="drop")).encode(gaps[1])


def with_rules(model: TrainedModel, rules: TableRules) -> TrainedModel:
    spec = dataclasses.replace(model.spec, table=rules)
    return dataclasses.replace(model, facts=dataclasses.replace(model.facts, data=spec))
