"""Rows of a table: how they are read, written, described and summarized."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_cli.data.columns import Column, number_columns
from vae_cli.data.dataset import Spec
from vae_cli.data.split import InMemory
from vae_cli.data.table_files import read_table
from vae_cli.errors import UsageError
from vae_cli.rendering import kind_of
from vae_cli.rendering.arrangements import Interpolation, Reconstructions, Traversal
from vae_cli.rendering.grid import Layout
from vae_cli.rendering.rows import Rows

ROWS = Rows(Spec("wine", (2,), columns=number_columns("a", "b, c")))
WRITER = ROWS.writer(Layout())


def names_of(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


# ---------------------------------------------------------------------- reading


def test_a_spec_of_rows_makes_rows() -> None:
    kind = kind_of(ROWS.spec)
    assert type(kind) is Rows
    assert kind.spec is ROWS.spec


def test_a_table_is_read_with_its_columns_in_the_order_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"b, c",a\n2,1\n4,3\n')
    names, items, hints, _ = ROWS.read(tmp_path / "t.csv")
    assert names == ["t.csv 0", "t.csv 1"]
    assert items.dtype == torch.float64
    assert items.tolist() == [[1, 2], [3, 4]]
    assert hints == []


def test_an_array_and_a_table_are_read_in_the_order_in_which_they_are_given(
    tmp_path: Path,
) -> None:
    np.save(tmp_path / "x.npy", np.array([[300.0, -1.0]] * 2))
    (tmp_path / "t.tsv").write_text("1\t2\n")
    names, items, *_ = ROWS.read_files([tmp_path / "x.npy", tmp_path / "t.tsv"])
    assert names == ["x.npy 0", "x.npy 1", "t.tsv 0"]
    assert items.tolist() == [[300, -1], [300, -1], [1, 2]]


def test_a_table_may_have_more_rows_than_a_grid_has_pictures(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5000, 2)))
    assert len(ROWS.read_files([tmp_path / "x.npy"]).items) == 5000


@pytest.mark.parametrize("name", ["photo.png", "folder", "t.txt"])
def test_anything_but_a_table_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"wine is a table; give a \.csv, \.tsv or \.npy file"):
        ROWS.read(tmp_path / name)


def test_an_array_of_other_items_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    with pytest.raises(UsageError, match=r"x\.npy holds items of 3, but wine is of 2"):
        ROWS.read_files([tmp_path / "x.npy"])


# ---------------------------------------------------------------------- writing


def test_the_output_file_has_the_name_of_the_command_unless_it_is_given() -> None:
    assert ROWS.output_path(None, "sample") == Path("sample.csv")
    for name in ("a.csv", "A.TSV"):
        assert ROWS.output_path(Path(name), "sample") == Path(name)
    with pytest.raises(UsageError, match=r"a\.png: this model makes rows of a table; .* \.csv"):
        ROWS.output_path(Path("a.png"), "sample")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_rows_are_written_under_the_names_of_their_columns(tmp_path: Path, name: str) -> None:
    items = np.array([[1.5, -2], [1e-9, 3e12]])
    path = tmp_path / name
    WRITER.write(items, path)
    columns, rows, *_ = read_table(path, version=2)
    assert names_of(columns) == ("a", "b, c")
    assert rows.tolist() == items.tolist()
    WRITER.write_reconstructions(Reconstructions(originals=items, decoded=items[::-1]), path)
    assert read_table(path, version=2).rows.tolist() == items[::-1].tolist(), (
        "the originals are left out"
    )


def test_a_traversal_has_the_dimension_and_the_offset_before_each_row(tmp_path: Path) -> None:
    items = np.arange(12.0).reshape(2, 3, 2)
    traversal = Traversal(items=items, dims=[3, 7], offsets=[-1, 0, 1])
    WRITER.write_arrangement(traversal, tmp_path / "a.csv")
    columns, rows, *_ = read_table(tmp_path / "a.csv", version=2)
    assert names_of(columns) == ("dimension", "offset", "a", "b, c")
    assert rows.tolist() == [
        [3, -1, 0, 1],
        [3, 0, 2, 3],
        [3, 1, 4, 5],
        [7, -1, 6, 7],
        [7, 0, 8, 9],
        [7, 1, 10, 11],
    ]


def test_a_traversal_of_all_dimensions_together_has_the_offset_only(tmp_path: Path) -> None:
    traversal = Traversal(items=np.arange(4.0).reshape(1, 2, 2), offsets=[-1, 1])
    WRITER.write_arrangement(traversal, tmp_path / "a.csv")
    columns, rows, *_ = read_table(tmp_path / "a.csv", version=2)
    assert names_of(columns) == ("offset", "a", "b, c")
    assert rows.tolist() == [[-1, 0, 1], [1, 2, 3]]


def test_an_interpolation_has_the_numbers_of_path_and_step_before_each_row(tmp_path: Path) -> None:
    paths = Interpolation(items=np.arange(8.0).reshape(2, 2, 2))
    WRITER.write_arrangement(paths, tmp_path / "a.csv")
    columns, rows, *_ = read_table(tmp_path / "a.csv", version=2)
    assert names_of(columns[2:]) == ("a", "b, c")
    assert rows.tolist() == [[1, 1, 0, 1], [1, 2, 2, 3], [2, 1, 4, 5], [2, 2, 6, 7]]


# ---------------------------------------------------------------------- describing


def test_the_description_has_the_number_of_columns() -> None:
    assert ROWS.describe() == "rows of 2 columns"


def test_a_table_has_no_picture_of_examples() -> None:
    counts = {"train": 1200, "test": 9}
    splits = {name: InMemory.whole(torch.zeros(count, 2)) for name, count in counts.items()}
    line = WRITER.write_examples(splits, None)
    assert line == "1,200 training rows, 9 test rows"
    with pytest.raises(UsageError, match=r"output a\.csv: a table has no picture"):
        WRITER.write_examples(splits, Path("a.csv"))


def test_the_summary_has_mean_and_standard_deviation_of_the_training_rows() -> None:
    train = InMemory.whole(torch.tensor([[1.0, 7], [3, 7]]))
    test = InMemory.whole(torch.tensor([[100.0, 200]]))
    header, rows, key, records = ROWS.summarize({"train": train, "test": test})
    assert header == ("column", "mean", "standard deviation")
    times = torch.tensor([[1_700_000_003, 0], [1_700_000_023, -4]], dtype=torch.float64)
    shown = ROWS.summarize({"train": InMemory.whole(times), "test": test}).rows
    assert shown == [("a", "1700000013", "10"), ("b, c", "-2", "2")], "digits beside the deviation"
    assert rows == [("a", "2", "1"), ("b, c", "7", "0")]
    assert key == "columns"
    assert records == [
        {"name": "a", "mean": 2, "standard_deviation": 1},
        {"name": "b, c", "mean": 7, "standard_deviation": 0},
    ]
