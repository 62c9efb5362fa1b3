"""Numbers in the spellings of people and of spreadsheets."""

import math
import random
from itertools import product

import pytest

from vae_cli.data.cells import CellParser, is_missing, spell_name, split_names, to_number

VALUES = (0.0, 7.0, -7.0, 0.5, 999.0, 1000.0, -1234.5, 1234567.25, -12345678.0)


def spell(value: float, group: str, decimal: str) -> str:
    """A number with signs between its thousands and before its decimals."""
    text = f"{value:,.2f}" if value % 1 else f"{value:,.0f}"
    return text.translate({ord(","): group, ord("."): decimal})


def test_a_number_is_read_back_from_every_spelling() -> None:
    units = ("{}", "${}", "{} €", "{}%", "{} %")
    groups = ("", " ", "'", "’", "\xa0", "\u202f", ",", ".")
    for delimiter, unit, group in product((",", ";"), units, groups):
        require_every_spelling(delimiter, unit, group)


def require_every_spelling(delimiter: str, unit: str, group: str) -> None:
    """Numbers with a unit and a sign between their thousands are read as what they are."""
    for decimal in {",": ".", ".": ",", "": ".,"}.get(group, ",."):
        if decimal == "," == delimiter:
            continue
        parser = CellParser(delimiter)
        parser.decimal = decimal
        for value in VALUES:
            text = unit.format(spell(value, group, decimal))
            if group == "." and value == 1000:
                continue  # 1.000 may be one
            if group == "," != delimiter and value == 1000:
                continue
            assert parser.parse(text) == value, text
            assert parser.parse(text.replace("-", "\N{MINUS SIGN}")) == value
        names = parser.note(["a"])
        assert bool(names) == (unit != "{}" or group != ""), names


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
    for first, second in (
        ("2,5", "1.500"),
        ("1.5", "1,500"),
        ("1.234,5", "1.5"),
        ("1,234.5", "1,5"),
    ):
        parser = CellParser(";")
        parser.parse(first)
        with pytest.raises(ValueError, match=r"because the decimal sign is a (comma|point)"):
            parser.parse(second)
    assert to_number("1,500", ",") == 1500, "between commas, a comma is no decimal sign"
    assert to_number("1,500", ";") == 1.5


@pytest.mark.parametrize(("first", "second"), [("$5", "€5"), ("5%", "5"), ("5", "5%"), ("$5", "5")])
@pytest.mark.parametrize("by_row", [False, True])
def test_all_cells_of_a_column_have_the_same_unit(first: str, second: str, by_row: bool) -> None:
    parser = CellParser(",")
    if by_row and parser.parse_row([first, "1"]) is None:
        parser.parse(first, 0)
        parser.parse("1", 1)
    elif not by_row:
        parser.parse(first, 0)
    assert math.isnan(parser.parse("#N/A", 0)), "a missing value has no unit"
    assert parser.parse_row([second, "1"]) is None
    with pytest.raises(ValueError, match=r"has (no|the) unit.*, but a number above it has"):
        parser.parse(second, 0)


def test_infinite_numbers_are_refused_as_what_they_are() -> None:
    for text in ("inf", "-Infinity", "1e400", "$1e999"):
        with pytest.raises(ValueError, match="is not a finite number"):
            CellParser(",").parse(text)


def test_what_spreadsheets_and_databases_write_for_no_value() -> None:
    for text in (
        "",
        " ",
        "NA",
        "n/a",
        "NaN",
        "null",
        "None",
        "?",
        "#N/A",
        "#DIV/0!",
        "-",
        "—",
        "\\N",
    ):
        assert is_missing(text), text
    for text in ("0", "x", "inf", "- 5", "."):
        assert not is_missing(text)


def test_every_list_of_names_is_read_back(tmp_path: object) -> None:
    source = random.Random(0)
    for _ in range(300):
        names = ["".join(source.choices("ab ,\"\n'", k=source.randint(1, 6))) for _ in range(3)]
        names = [name.strip() or "x" for name in names]
        typed = ",".join(spell_in_list(name) for name in names)
        assert split_names(typed) == names, typed
    assert split_names("a\nb") == ["a\nb"], "a name may have a line break"
    assert split_names("a,,b") == ["a", "", "b"]
    assert split_names(' "a, b" , c') == ["a, b", "c"]


def spell_in_list(name: str) -> str:
    """The name as a shell passes it on."""
    import shlex

    return shlex.split(spell_name(name, in_list=True))[0]
