"""Values as the cells of the file in which they were read."""

from datetime import UTC, datetime

import numpy as np
import pytest

from vae_cli.data.columns import CellFormat, Column
from vae_cli.data.spelling import spell

NAN = float("nan")


@pytest.mark.parametrize(
    ("style", "values", "cells"),
    [
        ({"decimals": 2}, [0.5, 1.005, -0.001, 3e6, 12], ["0.5", "1", "0", "3000000", "12"]),
        ({"decimals": 2, "min_decimals": 2}, [0.5, -0.001, 12], ["0.50", "0.00", "12.00"]),
        ({"decimals": 0, "suffix": "%"}, [5.4, -7.6], ["5%", "-8%"]),
        ({"decimals": 1, "thousands": ","}, [1234567.25, 999], ["1,234,567.2", "999"]),
        ({"decimals": 2, "prefix": "$", "thousands": ","}, [-1234.5], ["-$1,234.5"]),
        ({"decimals": 1, "missing": "NA"}, [NAN, 1.5, NAN], ["NA", "1.5", "NA"]),
        ({}, [1.7e9, 1.7e9 + 0.125], ["1700000000", "1700000000.125"]),
        ({}, [1e-9, 2e-9], ["1e-09", "2e-09"]),
        ({"min_decimals": 1}, [1, 0.25, 1e20, 1e-9], ["1.0", "0.25", "1e+20", "1e-09"]),
        ({"decimals": 3, "min_decimals": 1}, [1, 0.25, 1000], ["1.0", "0.25", "1000.0"]),
    ],
)
def test_a_number_has_the_decimals_the_unit_and_the_signs_of_its_column(
    style: dict, values: list[float], cells: list[str]
) -> None:
    assert spell(Column(name="x", format=CellFormat(**style)), values) == cells


def test_the_decimal_sign_of_the_file_is_that_of_its_numbers_alone() -> None:
    style = CellFormat(decimals=2, min_decimals=2, thousands=".", suffix=" €")
    price = Column(name="price", format=style)
    assert spell(price, [1234567.5, -0.25], ",") == ["1.234.567,50 €", "-0,25 €"]
    version = Column(name="version", kind="category", categories=("1.0", "1.1"))
    assert spell(version, [1, 0], ",") == ["1.1", "1.0"]


def test_an_integer_is_whole_whatever_its_size_and_a_category_is_its_text() -> None:
    counts = Column(name="n", kind="integer", format=CellFormat(thousands=" "))
    assert spell(counts, [2.6, -0.2, 2.0**53, NAN]) == ["3", "0", "9 007 199 254 740 992", ""]
    sex = Column(name="sex", kind="category", categories=("F", "M"), format=CellFormat(missing="?"))
    assert spell(sex, [1, NAN, 0]) == ["M", "?", "F"]
    assert spell(Column(name="c", kind="constant", categories=("5.0",)), [0, 0]) == ["5.0", "5.0"]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%Y-%m-%d", "1969-07-20"),
        ("%d.%m.%Y", "20.07.1969"),
        ("%m/%d/%y %I:%M %p", "07/20/69 08:17 PM"),
        ("%Y-%m-%dT%H:%M:%SZ", "1969-07-20T20:17:40Z"),
        ("%H:%M:%S.%f", "20:17:40.125"),
    ],
)
def test_a_date_follows_the_pattern_of_its_column(pattern: str, text: str) -> None:
    moment = datetime(1969, 7, 20, 20, 17, 40, 125_000, tzinfo=UTC).timestamp()
    style = CellFormat(date=pattern, decimals=3 if "%f" in pattern else None)
    column = Column(name="landed", kind="date", format=style)
    assert spell(column, [moment, NAN, moment]) == [text, "", text]


def test_a_second_that_arithmetic_missed_by_little_is_that_second() -> None:
    column = Column(name="t", kind="date", format=CellFormat(date="%Y-%m-%d"))
    assert spell(column, [86400 - 1e-7, 86400 + 1e-7]) == ["1970-01-02"] * 2
    assert spell(column, [86399]) == ["1970-01-01"]


def test_numbers_of_few_digits_come_back_from_their_cells() -> None:
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-3, 7).repeat(100)
    for decimals in range(7):
        rounded = values.round(decimals)
        column = Column(name="x", format=CellFormat(decimals=decimals))
        assert np.array_equal(np.array(spell(column, rounded), float), rounded)
