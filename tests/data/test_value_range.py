"""Ranges of values as texts, and what is suggested for values."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vae_cli.data.value_range import (
    Values,
    advise_on_darkness,
    explain_darkness,
    format_limits,
    is_range,
    parse_limits,
    require_span,
    scale_to_unit,
    suggest_range,
)
from vae_cli.errors import UsageError, mark


@pytest.mark.parametrize(
    ("text", "limits"),
    [("0:4095", (0, 4095)), ("-1:1", (-1, 1)), (" -0.5 : 2e3 ", (-0.5, 2000)), ("0:0.1", (0, 0.1))],
)
def test_a_range_is_read_and_written_with_all_its_digits(
    text: str, limits: tuple[float, float]
) -> None:
    assert is_range(text)
    assert parse_limits(text) == limits
    assert parse_limits(format_limits(limits)) == limits


NUMBERS = st.floats(
    allow_nan=False,
    allow_infinity=False,
    allow_subnormal=False,  # torch flushes them to 0 once a test has chosen a device
)


@given(st.lists(NUMBERS, min_size=2, max_size=2, unique=True))
def test_every_range_survives_its_text(pair: list[float]) -> None:
    low, high = sorted(pair)
    limits = parse_limits(format_limits((low, high)))
    assert limits == ((low, high) if math.isfinite(high - low) else None)
    assert parse_limits(format_limits((high, low))) is None


@given(st.lists(NUMBERS, min_size=1))
@example([-1.7e308, 1e306])
def test_a_measured_or_suggested_range_holds_all_values_and_little_more(
    numbers: list[float],
) -> None:
    values = Values(min(numbers), max(numbers))
    span = values.highest - values.lowest
    if span in {0, math.inf}:
        with pytest.raises(UsageError, match="too far apart" if span else "finds no range"):
            require_span([values], "x")
        return
    low, high = require_span([Values(number, number) for number in numbers], "x")
    assert values.lie_in((low, high))
    assert high - low <= span * 1.0001
    suggested = parse_limits(suggest_range(values))
    assert suggested is None or values.lie_in(suggested)
    assert suggested is None or suggested[1] - suggested[0] <= 4 * span


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "1:1",
        "1:0",
        "0:nan",
        "-inf:0",
        "-1e308:1e308",
        "a:b",
        "0:1:2",
        ":",
        "Data",
        "0,1",
        "0-1",
    ],
)
def test_a_text_that_is_no_range_is_none(text: str) -> None:
    assert parse_limits(text) is None
    assert not is_range(text)


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ((0, 254.5), "0:255"),
        ((-0.98, 0.97), "-1:1"),
        ((0, 4088), "0:4095"),
        ((0, 3000), "0:4095"),
        ((12, 65535), "0:65535"),
        ((0, 1), "0:1"),
        ((0, 16), "0:16"),
        ((-1024, 3071), "-1024:3071"),
        ((0, 1735.2), "data"),
        ((3, 3), ""),
        ((0, math.nan), ""),
        ((0, math.inf), ""),
        ((-1e308, 1e308), ""),
    ],
)
def test_the_range_that_is_suggested_holds_the_values(
    values: tuple[float, float], remedy: str
) -> None:
    assert suggest_range(Values(*values)) == remedy
    limits = parse_limits(remedy)
    assert limits is None or Values(*values).lie_in(limits)


def test_values_far_below_white_are_mentioned_and_others_are_not() -> None:
    hint = "the brightest value is 4095 of 65535"
    assert explain_darkness(Values(0, 4095), 65535) == hint
    assert (
        advise_on_darkness(Values(0, 4095), 65535)
        == f"{hint}: {mark('data.range=0:4095')} makes it white"
    )
    for values, white in (
        (Values(0, 16), 255),
        (Values(0, 16400), 65535),
        (Values(0, 0), 255),
        (Values(0, 0.1), 1),
    ):
        assert explain_darkness(values, white) == ""


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ((-1, 0.9999585151672363), (-1, 0.99996)),
        ((0, 65535), (0, 65535)),
        ((-123.4567891, 5432.1), (-123.46, 5432.1)),
        ((0.1, 0.1 + 2e-7), (0.1, 0.1000002)),
        ((-1.7e308, 0), (-1.7e308, 0)),
        ((0, 5e-300), (0, 5e-300)),
    ],
)
def test_a_measured_range_is_short_and_holds_the_values(
    values: tuple[float, float], limits: tuple[float, float]
) -> None:
    found = require_span([Values(*values)], "x")
    assert found == pytest.approx(limits, rel=1e-5, abs=0)
    assert found[0] <= values[0] <= values[1] <= found[1]
    assert len(format_limits(found)) <= 26


@pytest.mark.parametrize(("found", "reason"), [([], "opaque"), ([Values(3, 3)], "are 3, so")])
def test_a_range_that_cannot_be_measured_is_asked_for(found: list[Values], reason: str) -> None:
    with pytest.raises(UsageError, match=rf"x: .*{reason}.*: write data.range=LOW:HIGH"):
        require_span(found, "x")


def test_black_is_0_and_white_is_1_whatever_the_type_of_number() -> None:
    for kind in ("?", "u1", "i2", "u4", "u8", "f2", "f8", ">f4"):
        values = np.array([0, 1], kind)
        assert scale_to_unit(values, (0, 1)).tolist() == [0, 1]
    assert scale_to_unit(np.array([-3, 0, 1, 9]), (-1, 3)).tolist() == [0, 0.25, 0.5, 1]
