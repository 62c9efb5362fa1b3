"""Tables with columns of all kinds: what the commands write could stand in the file."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import Refused, Use

from vae_cli import load
from vae_cli.data.dataset import Spec, TableRules
from vae_cli.data.table import Table, read_table_like
from vae_cli.data.table_writing import write_table

pytestmark = pytest.mark.filterwarnings("ignore:.*csv")  # what was assumed about each column
QUICK = ("--epochs", 2, "--latent-dim", 2, "--hidden", 16, "-q")
CELLS = {  # what each cell of a column looks like
    "price": r"-?\$\d{1,3}(,\d{3})*\.\d\d",
    "share": r"\d{1,2}%",
    "age": r"\d+|NA",
    "cut": r"Fair|Good|'=best|a, b",
    "smoker": r"True|False",
    "joined": r"\d\d\.\d\d\.20\d\d",
    "seen": r"2024-\d\d-\d\d \d\d:\d\d:\d\d",
    "unit": r"kg",
    "weight": r"-?\d+(\.\d{1,3})?",
}


def make_cells(count: int) -> dict[str, list[str]]:
    """The cells of a table by column."""
    random = np.random.default_rng(0)
    factor = random.normal(size=count)
    cut = np.array(["Fair", "Good", "'=best", "a, b"])[np.digitize(factor, [-1, 0, 1])]
    days, seconds = random.integers(1, 29, (2, count)), random.integers(0, 60, count)
    columns = {
        "customer": [f"C{number:04}" for number in random.permutation(count)],
        "price": [f"${value:,.2f}" for value in np.exp(6 + factor)],
        "share": [f"{value:.0f}%" for value in random.uniform(0, 99, count)],
        "age": ["NA" if random.random() < 0.1 else f"{40 + 8 * value:.0f}" for value in factor],
        "cut": cut.tolist(),
        "smoker": [str(bool(value)) for value in random.normal(size=count) > factor],
        "joined": [f"{day:02}.{day % 12 + 1:02}.2020" for day in days[0]],
        "seen": [
            f"2024-05-{day:02} 08:15:{second:02}"
            for day, second in zip(days[1], seconds, strict=True)
        ],
        "unit": ["kg"] * count,
        "weight": [f"{value:.3f}".rstrip("0").rstrip(".") for value in 3 * factor],
    }
    return {name: list(map(str, cells)) for name, cells in columns.items()}


def write(path: Path, columns: dict[str, list[str]], delimiter: str = ",") -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def read(path: Path | str) -> dict[str, list[str]]:
    with Path(path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def write_again(path: Path, copy: Path) -> Spec:
    """Read a table, and write all of its rows."""
    spec = Table(path, rules=TableRules(missing="model"), test_fraction=0.1).spec
    write_table(copy, spec.columns, read_table_like(path, spec).rows, rules=spec.table)
    return spec


def test_every_cell_is_written_as_it_was_read(tmp_path: Path) -> None:
    cells = make_cells(300)
    write(tmp_path / "t.csv", cells)
    spec = write_again(tmp_path / "t.csv", tmp_path / "again.csv")
    assert spec.table.id == "customer"
    del cells["customer"]
    written = read(tmp_path / "again.csv")
    for name, column in cells.items():
        assert written[name] == column, name
    assert list(written) == list(cells)


def test_a_table_with_decimal_commas_keeps_its_dialect(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    german = str.maketrans(",.", ".,")
    columns = {
        "Preis": [f"{value:,.2f} €".translate(german) for value in random.normal(3e3, 900, 99)],
        "Größe": [f"{value:.1f}".translate(german) for value in random.normal(9, 1, 99)],
        "Version": [("1,0 alt", "2")[number % 2] for number in range(99)],
        "Tag": [f"2020-02-{number % 28 + 1:02}" for number in range(99)],
    }
    write(tmp_path / "t.csv", columns, ";")
    write_again(tmp_path / "t.csv", tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "t.csv").read_text()


def test_what_is_sampled_can_be_trained_on_and_sampled_again(
    here: Path, use: Use, refused: Refused
) -> None:
    write(here / "t.csv", cells := make_cells(400))
    use("train", "--data", "t.csv", *QUICK, "--name", "first")
    use("sample", "-n", 300, "-o", "new.csv", "--seed", 1)
    use("train", "--data", "new.csv", *QUICK, "--name", "second")
    use("sample", "-n", 50, "--ids", "--run", "first", "-o", "ids.csv", "--seed", 1)
    use("sample", "-n", 50, "-o", "newer.csv", "--seed", 1)
    for name in ("new.csv", "newer.csv"):
        found = read(name)
        assert list(found) == list(CELLS)
        for column, pattern in CELLS.items():
            strange = [cell for cell in found[column] if not re.fullmatch(pattern, cell)]
            assert not strange, column
            if not (pattern[0].isalpha() or "%" in pattern):
                assert set(found[column]) - {"NA"} or column == "age"
    first, second = load("first").spec, load("second").spec
    assert [one.kind for one in first.columns] == [one.kind for one in second.columns]
    prices = [float(cell.replace("$", "").replace(",", "")) for cell in read("new.csv")["price"]]
    known = [float(cell.replace("$", "").replace(",", "")) for cell in cells["price"]]
    assert min(known) <= min(prices) <= max(prices) <= max(known), "no sample leaves the range"
    ids = read("ids.csv")
    assert ids.pop("customer") == list(map(str, range(1, 51)))
    assert list(ids) == list(CELLS)

    words = ("--where", "cut=good,=best", "--where", "age=30..45", "--where", "joined=..20.12.2020")
    use("sample", "-n", 20, "--run", "first", *words, "-o", "some.csv")
    some = read("some.csv")
    assert set(some["cut"]) <= {"Good", "'=best"}
    assert all(30 <= int(age) <= 45 for age in some["age"])
    line = refused("sample", "--run", "first", "--where", "smoker=Yes")
    assert line == "--where smoker=Yes: there are False, True"


def test_rows_have_their_ids_and_types_in_every_command(here: Path, use: Use) -> None:
    write(here / "t.csv", cells := make_cells(200))
    use("train", "--data", "t.csv", *QUICK, "--name", "t")
    known = dict(enumerate(cells["customer"]))
    for words in (("embed", "t.csv"), ("score", "t.csv"), ("reconstruct", "-n", 9)):
        use(*words, "-o", "out.csv", "--force")
        found = read("out.csv")
        assert list(found)[:2] == ["name", "customer"]
        assert [known[int(name)] for name in found["name"]] == found["customer"]
    out = json.loads(use("reconstruct", "t.csv", "--json", "-o", "r.csv").out)["images"]
    assert list(read("r.csv")) == list(cells), "the rows are those of the file, with their ids"
    assert read("r.csv")["customer"] == cells["customer"]
    assert [one["customer"] for one in out] == cells["customer"]
    decoded = out[0]["decoded"]
    assert list(decoded) == list(CELLS)
    types = {name: type(value) for name, value in decoded.items()}
    assert (types["price"], types["age"], types["cut"], types["smoker"]) == (float, int, str, bool)
    assert re.fullmatch(CELLS["joined"], decoded["joined"])
    for words in (("interpolate", "--steps", 3), ("swap",), ("traverse", "--offset", "-1:2:1")):
        use(*words, "-o", "rows.csv", "--force")
        shown = read("rows.csv")
        for column, pattern in CELLS.items():
            assert all(re.fullmatch(pattern, cell) for cell in shown[column]), (words, column)
    use("sample", "-n", 5, "-o", "rows.parquet")
    kinds = dict(zip(CELLS, pq.read_schema("rows.parquet").types, strict=True))
    assert kinds["age"] == pa.int64()
    assert (kinds["smoker"], kinds["joined"]) == (pa.bool_(), pa.date32())
    assert kinds["seen"] == pa.timestamp("us")

    model = load("t")
    table = model.frame(model.sample(4, seed=0))
    given = model.reconstruct(table).items
    assert given.schema == table.schema
    assert set(given["cut"].to_pylist()) <= {"Fair", "Good", "=best", "a, b"}
