"""How the page writes the values of a row, and which bars it draws."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explore.browser import Page
from selenium.webdriver import Chrome

import vae_cli
from vae_cli.data.columns import CellFormat, Column
from vae_cli.data.spelling import spell
from vae_cli.explore.scene import list_column

STATIC = Path(vae_cli.__file__).parent / "explore/static"
SCRIPT = "".join((STATIC / name).read_text() for name in ("markup.js", "numbers.js", "rows.js"))


def run(browser: Chrome, expression: str, *arguments: object) -> Any:
    """The value of an expression in which the functions of the page can be called."""
    browser.get("about:blank")
    return browser.execute_script(f"{SCRIPT}; return {expression}", *arguments)


# No number is a tie, which JavaScript rounds up.
NUMBERS = [0.0, -0.001, 5.0, 0.126, 5.1, -3.75, 999.6, 1234.51, -1234567.891, 123456789012.0]
SECONDS = [0.0, -86400.0, 951_782_400.0, 1_700_000_000.0, 1_700_000_000.125, 4_102_444_799.0]
FORMATS = [
    CellFormat(decimals=2),
    CellFormat(decimals=0),
    CellFormat(decimals=2, min_decimals=2),
    CellFormat(decimals=2, min_decimals=1),
    CellFormat(decimals=3, suffix="%"),
    CellFormat(decimals=2, prefix="$", thousands=",", min_decimals=2),
    CellFormat(decimals=2, thousands=".", suffix=" €", min_decimals=2),
    CellFormat(decimals=1, thousands=" "),
]
PATTERNS = ["", "%Y-%m-%d", "%d.%m.%y", "%m/%d/%Y %I:%M %p", "%d %b %Y", "%B %d, %Y", "%H:%M"]
PATTERNS += ["%Y-%m-%dT%H:%M:%SZ", "%d/%m/%Y %H:%M:%S.%f"]


def test_values_are_written_as_cells_of_their_column(browser: Chrome) -> None:
    for style in FORMATS:
        decimal = "," if style.thousands == "." else "."
        for column in (Column(name="x", kind=kind, format=style) for kind in ("number", "integer")):
            assert write(browser, column, NUMBERS, decimal) == spell(column, NUMBERS, decimal)
    for pattern in PATTERNS:
        for decimals in (None, 3):
            style = CellFormat(date=pattern, decimals=decimals)
            column = Column(name="x", kind="date", format=style)
            assert write(browser, column, SECONDS) == spell(column, SECONDS), pattern


def test_numbers_with_any_decimals_have_five_digits(browser: Chrome) -> None:
    numbers = [0.000012345678, -1234567.0, 0.1, 2 / 3, 3e-9, 5.0]
    texts = ["0.000012346", "-1234600", "0.1", "0.66667", "3e-9", "5"]
    assert write(browser, Column(name="x"), numbers) == texts


def write(browser: Chrome, column: Column, values: list[float], decimal: str = ".") -> list[str]:
    """What the page writes for some values of a column."""
    expression = "arguments[1].map((value) => spellValue(value, arguments[0], arguments[2]))"
    return list(run(browser, expression, list_column(column), values, decimal))


def test_a_few_categories_have_all_their_bars_and_many_the_most_probable_ones(
    browser: Chrome,
) -> None:
    few = run(browser, "chooseBars(['a', 'b', 'c'], [0.2, 0.5, 0.3], 1)")
    assert [bar[:2] for bar in few] == [["a", 0.2], ["b", 0.5], ["c", 0.3]]
    many = [f"zip {number}" for number in range(1200)]
    shares = np.full(1200, 0.1 / 1196)
    shares[[7, 3, 900, 5]] = 0.4, 0.3, 0.15, 0.05
    found = run(browser, "chooseBars(arguments[0], arguments[1], -1)", many, shares.tolist())
    texts = ["zip 7", "zip 3", "zip 900", "zip 5", "1,196 others"]
    assert [text for text, *_ in found] == texts
    np.testing.assert_allclose([share for _, share, _ in found], [0.4, 0.3, 0.15, 0.05, 0.1])
    kept = run(browser, "chooseBars(arguments[0], arguments[1], 11)", many, shares.tolist())
    assert [text for text, *_ in kept] == ["zip 7", "zip 3", "zip 900", "zip 11", "1,196 others"]
    assert sum(share for _, share, _ in kept) == pytest.approx(1)


def test_a_row_is_shown_beside_the_one_it_was_encoded_from(page: Page) -> None:
    columns = (
        Column(name="<b>cut", kind="category", categories=("Fair", "Good")),
        Column(name="price", format=CellFormat(decimals=2)),
        Column(name="currency", kind="constant", categories=("USD",)),
    )
    facts = json.dumps({"columns": [list_column(column) for column in columns], "decimal": "."})
    page.browser.get("about:blank")
    show = """
    document.body.innerHTML = "<table class=values></table>";
    const bytesOf = (row) => new Uint8Array(Float64Array.from(row).buffer);
    const view = new RowView(document.querySelector("table"), JSON.parse(arguments[0]));
    view.show(bytesOf([1.5, 0.998, 0.002]));
    """
    page.run(SCRIPT + show, facts)
    assert page.texts("th") == ["", "<b>cut", "price"]
    assert page.texts(".bar") == ["Fair>99 %", "Good<1 %"]
    assert page.texts(".number td") == ["", "1.5"]
    assert page.text(".constants") == "In every row, currency is USD."
    page.run(SCRIPT + show + 'view.compare(bytesOf([NaN, 0, 1]), "row 3");', facts)
    assert page.texts(".heading td") == ["row 3", "decoded"]
    assert page.texts(".number td") == ["missing", "1.5"]
    assert page.texts(".bar.was") == ["Good<1 %"]


def test_the_facts_say_how_a_column_is_written() -> None:
    style = CellFormat(decimals=2, prefix="$")
    found = list_column(Column(name="price", format=style))
    assert found == {"name": "price", "kind": "number", "categories": (), "format": asdict(style)}
