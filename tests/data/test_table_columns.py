"""Columns that are not learned, missing values, decimal commas: what a user may say of a table."""

import math
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
import torch

from vae_cli.data.catalogue import open_dataset
from vae_cli.data.cells import split_names
from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import Spec, TableRules, ignore_progress
from vae_cli.data.source import find_source
from vae_cli.data.table import Table, read_table_like
from vae_cli.data.table_columns import choose_for_training
from vae_cli.data.table_files import TableContents, read_table
from vae_cli.errors import InterruptedRunError, UsageError


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def read(path: Path, rules: TableRules) -> TableContents:
    return read_table(path, partial(choose_for_training, rules))


FLOWERS = "kind,x,note,y\nrose,1,a,2\niris,3,b,4\n,5,c,6\nrose,7,d,8\n"


def test_a_column_of_classes_and_dropped_columns_are_not_learned(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", FLOWERS)
    found = read(path, TableRules("kind", ("note",)))
    assert found.columns == ("x", "y")
    assert found.rows.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert found.classes == ("(none)", "iris", "rose")
    assert found.labels.tolist() == [2, 1, 0, 2]


def test_classes_that_are_numbers_are_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "k,x\n10,1\n9,2\nb,3\n1.5,4\n")
    found = read(path, TableRules("k"))
    assert found.classes == ("1.5", "9", "10", "b")
    assert found.labels.tolist() == [2, 1, 3, 0]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (TableRules("knd"), r"data.label knd: .*t\.csv has no such column; did you mean kind\?"),
        (TableRules("", ("nota",)), r"data.drop nota: .* did you mean note\?"),
        (TableRules("x", ("x",)), "data.label x and data.drop x: give only one of them"),
        (TableRules("kind", ("x", "y", "note")), r"no column of .*t\.csv is left to learn"),
        (
            TableRules(),
            "column kind: 'rose' is not a number: try data.label kind .*, or data.drop kind",
        ),
    ],
)
def test_a_choice_of_columns_that_does_not_fit_is_refused(
    tmp_path: Path, rules: TableRules, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        read(written(tmp_path / "t.csv", FLOWERS), rules)


def test_the_names_in_an_error_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", '"a, b",c\nx,1\n')
    with pytest.raises(UsageError, match=r"""data.label 'a, b' .* data.drop '"a, b"'$"""):
        read_table(path)
    assert split_names('"a, b",c , d') == ["a, b", "c", "d"]


GAPS = "x,y\n1,2\n,3\n4,NaN\n5,6\n7,n/a\n"


def test_rows_with_missing_values_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", GAPS)
    with pytest.warns(UserWarning, match=r"t\.csv: .*missing in 3 of 5 rows; they are left out"):
        table = Table(path, rules=TableRules(missing="drop"), test_fraction=0)
    assert table.train().items.tolist() == [[1, 2], [5, 6]]
    assert table.names(table.train()) == ["0", "3"], "the places in the file"


def test_missing_values_are_the_mean_of_the_training_set(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n % 7 or ''}\n" for n in range(300))
    path = written(tmp_path / "t.csv", f"x,y\n{rows}")
    with pytest.warns(UserWarning, match="43 missing values are replaced by the mean"):
        table = Table(path, rules=TableRules(missing="mean"), test_fraction=0.2)
    train, test = table.train(), table.test()
    known = [row % 7 for row in train.rows.tolist() if row % 7]
    mean = sum(known) / len(known)
    assert table.spec.table.means[1] == pytest.approx(mean)
    for part in (train, test):
        gaps = part.rows[part.rows % 7 == 0]
        assert part.items[gaps, 1].tolist() == pytest.approx([mean] * len(gaps))
    assert len(test) > 20


def test_filling_in_moves_no_row_from_one_part_to_the_other(tmp_path: Path) -> None:
    lines = [f"{n},{n % 7 or ''}\n" for n in range(300)]
    parts = []
    for some in (lines[:200], lines):
        path = written(tmp_path / "t.csv", "x,y\n" + "".join(some))
        with pytest.warns(UserWarning, match="missing"):
            table = Table(path, rules=TableRules(missing="mean"), test_fraction=0.2)
        parts.append({row for row in table.test().rows.tolist() if row < 200})
    assert parts[0] == parts[1]


def test_a_column_without_any_value_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "x,y\n1,\n2,\n")
    with pytest.raises(UsageError, match=r"column y has no values to train on: .* data.drop"):
        Table(path, rules=TableRules(missing="mean"), test_fraction=0)
    with pytest.raises(UsageError, match="a value is missing in every row"):
        Table(path, rules=TableRules(missing="drop"), test_fraction=0)


SPEC = Spec("flowers", (2,), classes=("iris", "rose"), columns=number_columns("x", "y"))


@pytest.mark.parametrize(
    ("text", "labels"), [("note,y,kind,x\nhi,2,rose,1\n", [0]), ("y,x\n2,1\n", [])]
)
def test_a_table_for_a_model_may_lack_the_columns_that_were_not_learned(
    tmp_path: Path, text: str, labels: list[int]
) -> None:
    spec = Spec(
        "flowers", (2,), columns=number_columns("x", "y"), table=TableRules("kind", ("note",))
    )
    path = written(tmp_path / "t.csv", text)
    assert read_table_like(path, spec).rows.tolist() == [[1, 2]]
    train = Table(path, like=spec, test_fraction=0).train()
    assert train.labels.tolist() == labels
    path.write_text("y,x,z\n2,1,0\n")
    with pytest.raises(UsageError, match="has z, which is not among them"):
        read_table_like(path, spec)


def test_a_table_for_a_model_is_filled_in_with_what_the_model_knows(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "x,y\n100,\n")
    rules = TableRules(missing="mean", means=(1.0, 2.5))
    spec = Spec("t", (2,), columns=number_columns("x", "y"), table=rules)
    found = read_table_like(path, spec)
    assert found.rows.tolist() == [[100, 2.5]]
    assert found.notes == ("1 missing value is replaced by the mean of the column",)
    with pytest.raises(UsageError, match=r"row 2, column y: a value is missing: fill it in"):
        read_table_like(path, SPEC)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "a;b\n1,5;2\n-3,25e1;4,0\n"),
        ("t.csv", "1,5;2\n-3,25e1;4,0\n"),
        ("t.tsv", "a\tb\n1,5\t2\n-3,25e1\t4,0\n"),
        ("t.csv", "a\tb\n1.5\t2\n-3.25e1\t4.0\n"),
        ("t.csv", "a;b\n1.5;2\n-3.25e1;4.0\n"),
    ],
)
def test_decimal_commas_are_found_where_the_cells_are_separated_by_something_else(
    tmp_path: Path, name: str, text: str
) -> None:
    assert read_table(written(tmp_path / name, text)).rows.tolist() == [[1.5, 2], [-32.5, 4]]


@pytest.mark.parametrize("cells", ["1,5;1.500", "1.5;1,500", "1.234,5;1.5", "1,234.5;1,5"])
def test_two_decimal_signs_in_one_table_are_refused(tmp_path: Path, cells: str) -> None:
    with pytest.raises(UsageError, match=r"row 2, column [ab]: '.*' is not a number"):
        read_table(written(tmp_path / "t.csv", f"a;b\n{cells}\n"))
    lines = [f"{cell};0" for cell in cells.split(";")]
    with pytest.raises(UsageError, match=r"row [23], column [ab]: '.*' is not a number"):
        read_table(written(tmp_path / "t.csv", "\n".join(["a;b", *lines])))


INDEX = "is taken for an index and left out; rename it to learn it"
EMPTY = "1 column is left out at the end, without a name and without values"


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("a,b\n1,2\n3,4\n", []),
        (",a,b\n7,1,2\n9,3,4\n", [f"column 1 {INDEX}"]),
        (",a,b\nr1,1,2\nr2,3,4\n", [f"column 1 {INDEX}"]),
        ("Unnamed: 0,a,b\n0,1,2\n1,3,4\n", [f"Unnamed: 0 {INDEX}"]),
        ('"a","b"\n"r1",1,2\n"r2",3,4\n', [f"column 1 {INDEX}"]),  # as R writes it
        ("a,b,\n1,2,\n3,4,\n", [EMPTY]),
        ("a,b,,\n1,2,,\n3,4\n", [EMPTY.replace("1 column is", "2 columns are")]),
        ("a,b\n1,2,\n3,4,\n", []),
        (",a,b,\n0,1,2,\n1,3,4,\n", [f"column 1 {INDEX}", EMPTY]),
    ],
)
def test_columns_without_a_name_that_hold_no_data_are_left_out_with_a_line(
    tmp_path: Path, text: str, notes: list[str]
) -> None:
    path = written(tmp_path / "t.csv", text)
    found = read_table(path)
    assert (found.columns, found.rows.tolist()) == (("a", "b"), [[1, 2], [3, 4]])
    assert list(found.notes) == notes
    model = read_table_like(path, Spec("m", (2,), columns=number_columns("b", "a")))
    assert model.rows.tolist() == [[2, 1], [4, 3]]
    assert list(model.notes) == notes
    if notes:
        with pytest.warns(UserWarning, match="left out"):
            Table(path, test_fraction=0)


def test_a_column_without_a_name_is_no_index_if_it_is_asked_for_or_stands_elsewhere(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "t.csv", ",x,\n1,2,3\n4,5,6\n")
    assert read_table(path).columns == ("x", "column 3")
    assert read(path, TableRules("column 1")).classes == ("1", "4")
    assert read(path, TableRules("", ("column 1",))).rows.tolist() == [[2, 3], [5, 6]]
    learned = Spec("m", (3,), columns=number_columns("column 1", "x", "column 3"))
    assert read_table_like(path, learned).rows.tolist() == [[1, 2, 3], [4, 5, 6]], "an older run"
    assert read_table(written(path, '""\n1\n2\n')).columns == ("column 1",), "the only column"
    written(path, "a,b,\n" + "1,2,\n" * 30 + "3,4,5\n")
    with pytest.raises(UsageError, match="row 32 has 3 cells, not 2"):
        read_table(path)


def test_an_error_about_a_long_cell_or_name_is_short(tmp_path: Path) -> None:
    long = "x" * 5000
    for text in (f"{long},{long}\n1,2\n", f"a,b\n1,{long}\n", f"{long},b\ny,2\n"):
        with pytest.raises(UsageError) as caught:
            read_table(written(tmp_path / "t.csv", text))
        assert len(str(caught.value).replace(str(tmp_path), "")) < 300


def test_names_that_look_like_numbers_with_a_unit_are_names(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "5%,95%\n1,2\n3,4\n")
    with pytest.warns(UserWarning, match="taken for the names of the columns, although it has"):
        assert read_table(path).columns == ("5%", "95%")
    written(path, "5%,$95\n1%,\n3%,$4\n")
    found = read(path, TableRules(missing="drop"))
    assert (found.columns, found.rows.tolist()) == (("column 1", "column 2"), [[5, 95], [3, 4]])


def test_a_model_without_column_names_takes_a_table_with_an_index(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", ",x,y\n0,1,2\n")
    spec = Spec("array", (2,), columns=number_columns("column 1", "column 2"))
    assert read_table_like(path, spec).rows.tolist() == [[1, 2]]


def test_lines_of_many_cells_are_refused_in_bounded_time_and_memory(tmp_path: Path) -> None:
    wide = ",".join("1" * 200_000)
    for text in (f"{wide}\n{wide}\n", f"a,b\n{wide}\n"):
        path = written(tmp_path / "t.csv", text)
        tracemalloc.start()
        with pytest.raises(
            UsageError, match=r"200,000 columns: at most 100,000|200000 cells, not 2"
        ):
            read_table(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(text)
        tracemalloc.stop()


def test_a_row_that_is_taken_for_names_is_not_lost_in_silence(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "5.1,3.5,setosa\n4.9,3.0,setosa\n")
    with pytest.warns(UserWarning, match=r"the first line of t\.csv is taken for the names"):
        read(path, TableRules("setosa"))
    read(written(tmp_path / "t.csv", "land,2019,2020\nx,1,2\n"), TableRules("land"))


def test_the_settings_of_tables_are_refused_for_other_data(tmp_path: Path) -> None:
    for rules in (TableRules("a"), TableRules("", ("a",)), TableRules(missing="mean")):
        with pytest.raises(
            UsageError, match=r"data.label, data.drop and data.missing are for tables"
        ):
            open_dataset(
                find_source("fashion-mnist"),
                table=rules,
                test_fraction=0.1,
                progress=ignore_progress,
            )


def test_a_large_table_is_read_with_eight_bytes_a_value(tmp_path: Path) -> None:
    values = torch.arange(60_000).reshape(-1, 3)
    text = "a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in values.tolist())
    found = read_table(written(tmp_path / "t.csv", text))
    assert torch.equal(found.rows, values.double())
    assert found.rows.untyped_storage().nbytes() == 8 * values.numel()


def test_a_signal_ends_the_reading_of_a_long_table(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        raise InterruptedRunError("stopped", 2)

    path = written(tmp_path / "t.csv", "1.000000,2.000000\n" * 200_000)
    with pytest.raises(InterruptedRunError):
        Table(path, test_fraction=0, progress=stop)
    assert calls == [(0, path.stat().st_size >> 20)]


def test_a_table_that_would_not_fit_is_refused_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "t.csv", "1,2\n" * 20_000)
    monkeypatch.setattr("vae_cli.data.memory.MAX_MEMORY", 100_000)
    with pytest.raises(UsageError, match=r"t\.csv would take .* GiB of memory"):
        read_table(path)
    monkeypatch.setattr("vae_cli.data.memory.MAX_MEMORY", 2**30)
    monkeypatch.setattr("vae_cli.data.memory.MAX_ITEMS", 10_000)
    with pytest.raises(UsageError, match="at most 10,000 are taken"):
        read_table(path)


def test_a_line_without_an_end_and_too_many_classes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_cli.data.table_files.MAX_LINE", 1000)
    with pytest.raises(UsageError, match="a line of 1,000 characters"):
        read_table(written(tmp_path / "t.csv", "1," * 1000))
    monkeypatch.setattr("vae_cli.data.table_files.MAX_CLASSES", 5)
    path = written(tmp_path / "t.csv", "k,x\n" + "".join(f"{n},1\n" for n in range(6)))
    with pytest.raises(UsageError, match=r"column k of .* has over 5 classes"):
        read(path, TableRules("k"))
    monkeypatch.undo()
    path.write_text("k,x\n" + "long " * 300 + ",1\n")
    with pytest.raises(UsageError, match=r"a class in column k has over 1,000 characters"):
        read(path, TableRules("k"))


def test_missing_values_are_not_finite_numbers_of_the_table(tmp_path: Path) -> None:
    found = read(written(tmp_path / "t.csv", GAPS), TableRules(missing="mean"))
    assert [math.isnan(value) for value in found.rows.flatten()].count(True) == 3
