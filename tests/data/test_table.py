"""Tables: which columns rows have, missing values, parts, and tables for a trained model."""

import csv
import itertools
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from vae_cli.data.catalogue import open_dataset
from vae_cli.data.columns import Column, number_columns
from vae_cli.data.dataset import Missing, Spec, TableRules, ignore_progress
from vae_cli.data.held_out import hash_to_unit_interval
from vae_cli.data.source import find_source
from vae_cli.data.table import Table, complete_rows, read_table_like
from vae_cli.data.table_contents import TableContents
from vae_cli.data.table_files import read_table
from vae_cli.errors import UsageError

MODEL = TableRules(missing="model")


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def names(found: TableContents) -> list[str]:
    return [column.name for column in found.columns]


FLOWERS = "kind,x,note,y\nrose,1,a,2\niris,3,b,4\n,5,c,6\nrose,7,d,8\n"


def test_a_column_of_classes_and_dropped_columns_are_not_learned(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", FLOWERS)
    found = read_table(path, TableRules("kind", ("note",)))
    assert names(found) == ["x", "y"]
    assert found.rows.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert found.classes == ("(none)", "iris", "rose")
    assert found.labels.tolist() == [2, 1, 0, 2]
    found = read_table(written(path, "k,x\n10,1\n9,2\nb,3\n1.5,4\n"), TableRules("k"))
    assert (found.classes, found.labels.tolist()) == (("1.5", "9", "10", "b"), [2, 1, 3, 0])
    found = read_table(written(path, FLOWERS), TableRules("kind", id="note"))
    assert found.ids.to_pylist() == ["a", "b", "c", "d"]
    with pytest.warns(UserWarning, match=r"t\.csv: note is taken for an id and left out"):
        assert Table(path, rules=TableRules("kind"), test_fraction=0).spec.table.id == "note"


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (TableRules("knd"), r"data.label knd: .*t\.csv has no such column; did you mean kind\?"),
        (TableRules("", ("nota",)), r"data.drop nota: .* did you mean note\?"),
        (TableRules(id="nota"), r"data.id nota: .* did you mean note\?"),
        (TableRules(kinds=("z=number",)), r"data.columns z: .* no such column"),
        (TableRules("x", ("x",)), "data.label x and data.drop x: give only one of them"),
        (TableRules("kind", ("x", "y", "note")), r"no column of .*t\.csv is left to learn"),
    ],
)
def test_a_choice_of_columns_that_does_not_fit_is_refused(
    tmp_path: Path, rules: TableRules, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        read_table(written(tmp_path / "t.csv", FLOWERS), rules)


def test_the_settings_of_tables_are_refused_for_other_data() -> None:
    for rules in (TableRules("a"), TableRules("", ("a",)), TableRules(kinds=("a=id",))):
        with pytest.raises(UsageError, match=r"data.label, data.drop, data.id, .* are for tables"):
            open_dataset(
                find_source("fashion-mnist"),
                table=rules,
                test_fraction=0.1,
                progress=ignore_progress,
            )


GAPS = "x,y\n1,2\n,3\n4,NaN\n5,6\n,\n7,n/a\n"


def test_missing_values_are_kept_left_out_filled_in_or_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", GAPS)
    table = Table(path, rules=MODEL, test_fraction=0)
    known = [[1, 2], [np.nan, 3], [4, np.nan], [5, 6], [7, np.nan]]
    np.testing.assert_array_equal(table.train().items, known)
    assert table.names(table.train()) == ["0", "1", "2", "3", "5"], "an empty row is none"
    with pytest.warns(UserWarning, match=r"t\.csv: .*missing in 3 of 5 rows; they are left out"):
        table = Table(path, rules=TableRules(missing="drop"), test_fraction=0)
    assert table.train().items.tolist() == [[1, 2], [5, 6]]
    assert table.names(table.train()) == ["0", "3"], "the places in the file"
    reason = r"row 3, column x: a value is missing: data.missing=drop leaves out"
    with pytest.raises(UsageError, match=reason):
        Table(path, test_fraction=0)
    with pytest.raises(UsageError, match="a value is missing in every row"):
        read_table(written(path, "x,y\n1,\n,2\n3,\n"), TableRules(missing="drop"))


def test_missing_values_are_the_mean_or_the_most_frequent_text_of_the_training_set(
    tmp_path: Path,
) -> None:
    rows = "".join(
        f"{n * 7 % 300},{n % 7 or ''},{'aab'[n % 3] if n % 5 else ''}\n" for n in range(300)
    )
    path = written(tmp_path / "t.csv", f"x,y,k\n{rows}")
    rules = TableRules(missing="mean", kinds=("y=number",))
    with pytest.warns(UserWarning, match="103 missing values are replaced by the mean"):
        table = Table(path, rules=rules, test_fraction=0.2)
    train, test = table.train(), table.test()
    known = [row % 7 for row in train.rows.tolist() if row % 7]
    mean = sum(known) / len(known)
    assert table.spec.table.means[1:] == (pytest.approx(mean), 0)
    for part in (train, test):
        gaps = part.rows[part.rows % 7 == 0]
        assert part.items[gaps, 1].tolist() == pytest.approx([mean] * len(gaps))
    assert len(test) > 20


def test_a_column_without_any_value_is_left_out_with_a_line(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "x,y\n1,\n2,-\n4,\n")
    found = read_table(path)
    assert (names(found), found.rows.tolist()) == (["x"], [[1], [2], [4]])
    assert found.notes == ("y: no row has a value, so nothing is learned of it",)


def test_rows_stay_in_their_part_when_others_come_or_a_hole_is_filled(tmp_path: Path) -> None:
    lines = [f"{n},{n % 7 or ''},{'ab'[n % 2]}\n" for n in range(100, 400)]
    new = [*lines, "5,3,a new category\n" * 3, "6,8,c\n"]
    parts = []
    choices: tuple[Missing, ...] = ("model", "mean")
    for some, missing in itertools.product((lines[:200], new), choices):
        path = written(tmp_path / "t.csv", "x,y,k\n" + "".join(some))
        rules = TableRules(missing=missing)
        with warnings.catch_warnings(action="ignore"):
            table = Table(path, rules=rules, test_fraction=0.2)
        parts.append({row for row in table.test().rows.tolist() if row < 200})
    assert all(part == parts[0] for part in parts)
    assert parts[0]


def test_the_part_of_a_row_of_numbers_is_that_of_its_bytes_as_in_earlier_versions(
    tmp_path: Path,
) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3)).round(3)
    rows[:, 1] = rows[:, 1].round()  # few whole numbers: a category now
    rows += 0.0  # there is no -0
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c"], *rows.tolist()])
    wanted = [hash_to_unit_interval(row.tobytes()) for row in rows]
    for version in (1, 2, 3):
        found = read_table(path, version=version)
        assert found.hashes.tolist() == pytest.approx(wanted, abs=0), version
    assert found.columns[1].kind == "category"


# ---------------------------------------------------------------- for a trained model


COLUMNS = (
    Column(name="x"),
    Column(name="cut", kind="category", categories=("1", "2", "Fair")),
    Column(name="day", kind="date"),
)
SPEC = Spec("gems", (3,), columns=COLUMNS, table=TableRules("label", ("old",), "model", id="who"))


def test_columns_are_brought_to_the_order_of_a_model(tmp_path: Path) -> None:
    path = written(
        tmp_path / "t.csv",
        "new,day,who,cut,x\n5,1970-01-02,=A,Fair,1.5\n6,,B,1.0,2\n7,1970-01-01,C,Good,\n",
    )
    found = read_table_like(path, SPEC)
    rows = [[1.5, 2, 86400], [2, 0, np.nan], [np.nan, np.nan, 0]]
    np.testing.assert_array_equal(found.rows, rows)
    assert (found.ids, found.labels) == (["=A", "B", "C"], [])
    ignored, unknown = found.notes
    assert ignored == "new: ignored, because the model of gems did not learn such columns"
    assert unknown.startswith("column cut: 1 cell with a category that the model of gems never saw")
    assert unknown.endswith("Good (1)")


def test_what_does_not_fit_a_model_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for text, reason in (
        ("x\n1\n", "lacks cut, day: the model learned 3 columns of gems"),
        (
            "x,cut,day\na,1,\nb,1,\n3,1,\n",
            r"row 2, column x: 'a' is not a number \(nor is row 3 'b'",
        ),
        ("x,cut,day\n1,7,\n2,8,\n", r"column cut holds 7 \(1\), 8 \(1\), and no cell is one of"),
        ("x,cut,day\n1,1,2024-02-30\n", "row 2, column day: '2024-02-30' is not a date such as"),
        ("x,cut,day\n1,1,5\n", "row 2, column day: '5' is not a date such as 1970-01-01"),
        ("x,cut,day\ninf,1,\n", "row 2, column x: 'inf' is not a finite number"),
    ):
        with pytest.raises(UsageError, match=reason):
            read_table_like(written(path, text), SPEC)
    spec = Spec("t", (2,), columns=number_columns("x", "y"))
    with pytest.raises(UsageError, match=r"row 2, column y: a value is missing: fill it in"):
        read_table_like(written(path, "x,y\n100,\n"), spec)


def test_the_code_of_a_category_is_the_index_of_one_of_its_texts() -> None:
    rows = torch.tensor([[1.5, 2, 0], [0, torch.nan, 0]]).double()
    assert complete_rows(rows, SPEC, "the rows").rows is rows
    for wrong in (3, -1, 0.5, torch.inf):
        rows[1, 1] = wrong
        with pytest.raises(UsageError, match=f"{wrong:g} in row 1, column cut is not .*1, 2, Fair"):
            complete_rows(rows, SPEC, "the rows")


def test_a_model_without_column_names_takes_any_table_with_as_many_columns(tmp_path: Path) -> None:
    spec = Spec("x", (2,), columns=number_columns("column 1", "column 2"))
    for text in ("b,a\n1,2\n", ",x,y\n0,1,2\n", "1,2\n"):
        assert read_table_like(written(tmp_path / "t.csv", text), spec).rows.tolist() == [[1, 2]]
    learned = Spec("m", (3,), columns=number_columns("column 1", "x", "column 3"))
    path = written(tmp_path / "t.csv", ",x,\n1,2,3\n4,5,6\n")
    assert read_table_like(path, learned).rows.tolist() == [[1, 2, 3], [4, 5, 6]], "an older run"


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    text = "x,cut,day\n1.5,Fair,1970-01-02\n2.0,1,1970-01-03\n"
    expected = [[1.5, 2, 86400], [2, 0, 2 * 86400]]
    table = pa.table(
        {
            "x": [1.5, 2],
            "cut": ["Fair", "1"],
            "day": pa.array([1, 2], pa.int32()).cast(pa.date32()),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    written(tmp_path / "t.csv", text)
    paths = [tmp_path / "t.csv", tmp_path / "t.parquet"]
    for path in paths:
        assert read_table_like(path, SPEC).rows.tolist() == expected, path
        dataset = Table(path, like=SPEC, test_fraction=0.0)
        assert dataset.spec.columns == COLUMNS
        assert dataset.train().items.tolist() == expected


def test_a_large_table_is_read_with_eight_bytes_a_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = torch.arange(60_000).reshape(-1, 3)
    text = "a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in values.tolist())
    path = written(tmp_path / "t.csv", text)
    found = read_table(path)
    assert torch.equal(found.rows, values.double())
    assert found.rows.untyped_storage().nbytes() == 8 * values.numel()
    monkeypatch.setattr("vae_cli.data.memory.MAX_MEMORY", 100_000)
    with pytest.raises(UsageError, match=r"t\.csv would take .* GiB of memory"):
        read_table(path)
    monkeypatch.setattr("vae_cli.data.memory.MAX_MEMORY", 2**30)
    monkeypatch.setattr("vae_cli.data.memory.MAX_ITEMS", 10_000)
    with pytest.raises(UsageError, match="at most 10,000 are taken"):
        read_table(path)


def test_ten_thousand_columns_are_read(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 10_000)).round(3)
    header = ",".join(f"c{n}" for n in range(10_000))
    path = tmp_path / "t.csv"
    np.savetxt(path, rows, delimiter=",", header=header, comments="", fmt="%.3f")
    np.testing.assert_array_equal(read_table(path).rows, rows)


def test_too_many_and_too_long_classes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_cli.data.table_contents.MAX_CLASSES", 5)
    path = written(tmp_path / "t.csv", "k,x\n" + "".join(f"{n},{n / 2}\n" for n in range(6)))
    with pytest.raises(UsageError, match=r"column k of .* has over 5 classes"):
        read_table(path, TableRules("k"))
    monkeypatch.undo()
    path.write_text("k,x\n" + "long " * 300 + ",1\n")
    with pytest.raises(UsageError, match=r"a class in column k has over 1,000 characters"):
        read_table(path, TableRules("k"))


def test_an_error_about_a_long_cell_or_name_is_short(tmp_path: Path) -> None:
    long = "x" * 5000
    for text in (f"{long},{long}\n1,2\n", f"a,b\n1,{long}\n2,1\n", f"{long},b\ny,2\n"):
        with pytest.raises(UsageError) as caught:
            read_table(written(tmp_path / "t.csv", text), version=2)
        assert len(str(caught.value).replace(str(tmp_path), "")) < 300
