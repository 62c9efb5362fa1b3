"""Frames that are returned: types, and the library of the frame that was given."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from vae_cli.api.frames import like_frame
from vae_cli.api.model import TrainedModel
from vae_cli.data.columns import CellFormat, Column
from vae_cli.data.dataset import Spec
from vae_cli.errors import UsageError

COLUMNS = (
    Column(name="sex", kind="category", categories=("F", "M")),
    Column(name="age", kind="integer"),
    Column(name="joined", kind="date", format=CellFormat(date="%Y-%m-%d")),
)
SPEC = Spec("people", (3,), columns=COLUMNS)
ROWS = np.array([[1, 40, 86400], [0, np.nan, 0]])
VALUES = {
    "sex": ["M", "F"],
    "age": [40, None],
    "joined": [datetime.date(1970, 1, 2), datetime.date(1970, 1, 1)],
}


def test_who_gives_a_frame_gets_one_and_who_gives_an_array_gets_an_array() -> None:
    assert like_frame(pa.table({"sex": ["M"]}), ROWS, SPEC).to_pydict() == VALUES
    assert like_frame({"sex": ["M", "F"]}, ROWS, SPEC) == VALUES
    assert like_frame(ROWS, ROWS, SPEC) is ROWS
    assert like_frame([[0, 1, 2]], ROWS, SPEC) is ROWS


def test_polars_and_pandas_get_their_own_types_back() -> None:
    polars, pandas = pytest.importorskip("polars"), pytest.importorskip("pandas")
    frame = like_frame(polars.DataFrame({"sex": ["M"]}), ROWS, SPEC)
    assert frame.schema == {"sex": polars.String, "age": polars.Int64, "joined": polars.Date}
    assert frame.to_dict(as_series=False) == VALUES
    given = pandas.DataFrame({"sex": ["M", "F"]}, index=["x", "y"])
    frame = like_frame(given, ROWS, SPEC)
    assert list(frame.index) == ["x", "y"]
    assert list(frame["sex"]) == VALUES["sex"]
    assert list(like_frame(given[:1], ROWS, SPEC).index) == [0, 1], "other rows than were given"


def test_a_model_makes_a_frame_of_its_rows(wine: TrainedModel, model: TrainedModel) -> None:
    rows = wine.sample(3, seed=0)
    table = wine.frame(rows)
    assert tuple(table.column_names) == wine.spec.column_names
    np.testing.assert_allclose(np.stack([column.to_numpy() for column in table], 1), rows)
    assert wine.frame(rows[0]).num_rows == 1
    given = wine.reconstruct(table).items
    assert isinstance(given, pa.Table)
    np.testing.assert_allclose(given.to_pandas(), wine.reconstruct(rows).items)
    with pytest.raises(UsageError, match="the array holds items of 2, but wine is of 13"):
        wine.frame(rows[:, :2])
    with pytest.raises(UsageError, match="images have no columns"):
        model.frame(model.sample(1))
