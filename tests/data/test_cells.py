"""Numbers, dates and missing values in the spellings of people and of spreadsheets."""

import datetime
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from vae_cli.data.cell_arrays import DateParser, NumberParser, with_nulls
from vae_cli.data.cells import find_decimal, is_missing, sort_texts, to_number

VALUES = (0.0, 7.0, -7.0, 0.5, 999.0, 1000.0, -1234.5, 1234567.25, -12345678.0)


def spell(value: float, group: str, decimal: str) -> str:
    """A number with signs between its thousands and before its decimals."""
    text = f"{value:,.2f}" if value % 1 else f"{value:,.0f}"
    return text.translate({ord(","): group, ord("."): decimal})


def parse(texts: list[str], decimal: str = ".", delimiter: str = ",") -> list[float] | None:
    """The numbers of a column; None if a cell is none."""
    parsed = NumberParser(decimal, delimiter).parse(with_nulls(pa.array(texts)))
    return None if parsed.wrong is not None else parsed.values.tolist()


def test_a_column_is_read_back_from_every_spelling() -> None:
    units = ("{}", "${}", "{} €", "{}%", "{} %")
    groups = ("", " ", "'", "’", "\xa0", "\u202f", ",", ".")
    for delimiter, unit, group, decimal in product((",", ";"), units, groups, ".,"):
        if group == decimal or decimal == "," == delimiter:
            continue
        texts = [unit.format(spell(value, group, decimal)) for value in VALUES]
        assert parse(texts, decimal, delimiter) == list(VALUES), texts
        texts = [text.replace("-", "\N{MINUS SIGN}") for text in texts]
        assert parse(texts, decimal, delimiter) == list(VALUES), texts
        if delimiter != "," and group:
            assert find_decimal(texts, delimiter) == decimal


def test_what_may_be_two_numbers_is_none_of_them() -> None:
    for text in (
        "1,5",
        "0,123",
        "12,34",
        "1,2345",
        "1_000",
        "1 00",
        "1,000,00",
        "(5)",
        "$",
        "5 kg",
    ):
        assert to_number(text, ",") is None, text
    assert to_number("1,500", ",") == 1500, "between commas, a comma is no decimal sign"
    assert to_number("1,500", ";") == 1.5
    for texts in (["1.5", "1,500"], ["1,5", "1.500"]):
        assert parse(texts, find_decimal(texts, ";"), ";") is None
    for texts in (["$5", "€5"], ["5%", "5"], ["5", "5%"], ["$5", "5"]):
        assert parse(texts) is None, "all cells of a column have the same unit"
    parser = NumberParser()
    parser.parse(pa.array(["$5", None]))
    assert parser.parse(pa.array(["5"])).wrong is not None, "also in another part of it"


def test_what_spreadsheets_and_databases_write_for_no_value() -> None:
    missing = ["", " ", "NA", "n/a", "NaN", "null", "None", "?", "#N/A", "#DIV/0!", "-", "—", "\\N"]
    known = ["0", "x", "inf", "- 5", "."]
    assert with_nulls(pa.array(missing + known)).is_null().to_pylist() == [True] * 13 + [False] * 5
    assert [is_missing(text) for text in missing + known] == [True] * 13 + [False] * 5


def test_dates_are_read_with_the_pattern_that_all_of_them_follow() -> None:
    day = datetime.datetime(2024, 1, 31, 15, 4, 5, tzinfo=datetime.UTC)
    patterns = (
        *("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f"),
        *("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%b-%Y", "%b %d, %Y", "%d.%m.%Y %H:%M"),
        *("%m/%d/%Y %I:%M %p", "%Y-%m-%dT%H:%M:%SZ"),
    )
    days = [day, day + datetime.timedelta(days=2), day + datetime.timedelta(seconds=3671)]
    for pattern in patterns:
        texts = [one.strftime(pattern) for one in days]
        parser = DateParser()
        parsed = parser.parse(pa.array([*texts, None]))
        expected = [
            datetime.datetime.strptime(text, pattern).replace(tzinfo=datetime.UTC).timestamp()
            for text in texts
        ]
        assert parsed.wrong is None, pattern
        assert parsed.values[:-1].tolist() == expected, pattern
        assert np.isnan(parsed.values[-1])
        assert parser.pattern == pattern


@pytest.mark.parametrize("text", ["2024-02-30", "31.02.2024", "2024-13-01", "10000-01-01", "x"])
def test_what_is_no_day_of_the_calendar_is_wrong(text: str) -> None:
    good = "2024-02-28" if "-" in text else "28.02.2024"
    wrong = DateParser().parse(pa.array([good, good, text])).wrong
    assert wrong is not None
    assert wrong.tolist() == [False, False, True]


def test_numbers_come_before_texts_and_2_before_10() -> None:
    assert sort_texts(["b", "10", "9", "1.5", "a"]) == ["1.5", "9", "10", "a", "b"]
