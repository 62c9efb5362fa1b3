"""Rows near the limits of float: `null` in JSON, `inf` in tables, and not drawn on maps."""

import json
import math
from pathlib import Path

import pytest
from support import Use

from vae_cli.data.columns import number_columns
from vae_cli.data.table_writing import write_table

COMMANDS = [
    ("reconstruct", "far.csv"),
    ("reconstruct", "--data", "far.csv"),
    ("interpolate", "far.csv"),
    ("traverse", "far.csv"),
    ("swap", "two.csv", "--dim", "0"),
    ("embed", "far.csv", "--plot", "map.png"),
    ("embed", "far.csv", "--plot", "map.png", "--method", "tsne"),
    ("score", "far.csv"),
    ("evaluate", "--data", "far.csv", "--samples", "2", "--images", "100"),
]


def refuse_constant(name: str) -> float:
    raise ValueError(name)


@pytest.fixture
def far(here: Path, wine: Path, use: Use) -> Path:
    """In `here`, tables of the data of `wine`, in which the first rows are far away.

    The run `standard` takes them in units of deviations, and not as scores that are never far.
    """
    assert here == wine
    header, *rows = (wine / "wine.csv").read_text().splitlines()
    columns = header.count(",") + 1
    odd = [",".join([f"{value}"] * columns) for value in ("-1e20", "1e25", "-1e30", "1e34")]
    (wine / "far.csv").write_text("\n".join([header, *odd, *rows[:60]]) + "\n")
    (wine / "two.csv").write_text("\n".join([header, rows[0], odd[-1]]) + "\n")
    words = ("--likelihood", "columns", "--set", "likelihood.normalization=standard")
    use("train", "--data", "wine.csv", "--epochs", 2, *words, "--name", "standard", "-q")
    return wine


@pytest.mark.filterwarnings("default:.*items:UserWarning")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_numbers_that_are_not_finite_are_null_in_json(
    far: Path, use: Use, words: tuple[str, ...]
) -> None:
    json_flag = [] if words[0] == "interpolate" else ["--json"]
    out, err = use(*words, "--run", "standard", *json_flag)
    if json_flag:
        json.loads(out, parse_constant=refuse_constant)
    if "--plot" in words:
        assert "4 items are too far from the training set to be on the map" in err
        assert (far / "map.png").stat().st_size > 1000


def test_infinities_have_names_in_tables_and_a_hole_is_empty(tmp_path: Path) -> None:
    rows = [[1, math.nan, math.nan], [math.inf, 2.5, math.nan], [-math.inf, 1.7e308, math.inf]]
    write_table(tmp_path / "out.csv", number_columns("a", "b", "c"), [*rows, [3, -1.7e308, 4]])
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        *("a,b,c", "1,,", "inf,2.5,", "-inf,1.7e+308,inf", "3,-1.7e+308,4"),
    ]
