"""START:STOP:STEP, the numbers that `vae traverse` adds to the latent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_cli.cli._inputs import MAX_COLUMNS, parse_offsets
from vae_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:1:0.1", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ("-1:1.2:0.2", [-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1]),
        ("0.1:0.7:0.2", [0.1, 0.3, 0.5]),
        ("1:1.3:0.1", [1, 1.1, 1.2]),
        ("2:-1:-1", [2, 1, 0]),
        ("0:1:5", [0]),
    ],
)
def test_stop_is_excluded(text: str, expected: list[float]) -> None:
    assert parse_offsets(text) == pytest.approx(expected)


@given(
    st.decimals(-1000, 1000, places=3),
    st.decimals("-10", 10, places=3).filter(bool),
    st.integers(1, MAX_COLUMNS),
    st.sampled_from([Decimal("0.001"), Decimal("0.5"), Decimal(1)]),
)
def test_the_columns_are_counted_and_placed_as_on_paper(
    start: Decimal, step: Decimal, count: int, last: Decimal
) -> None:
    """STOP is anywhere beyond the last column, up to where the next one would be."""
    stop = start + step * (count - 1 + last)
    expected = [float(start + step * number) for number in range(count)]
    assert parse_offsets(f"{start}:{stop}:{step}") == pytest.approx(expected, abs=1e-9)


def test_bad_offsets_are_refused_with_the_reason(subtests: pytest.Subtests) -> None:
    for text, reason in (
        ("", "START:STOP:STEP"),
        ("1", "START:STOP:STEP"),
        ("1:2", "START:STOP:STEP"),
        ("::", "START:STOP:STEP"),
        ("a:b:c", "START:STOP:STEP"),
        ("0:1:0.1:1", "START:STOP:STEP"),
        ("0,5:1:0.1", "START:STOP:STEP"),
        ("1:1:1", "empty"),
        ("3:0:1", "3 to 0"),
        ("0:3:-1", "step of -1"),
        ("0:3:0", "step must not be 0"),
        ("0:3:-0.0", "step must not be 0"),
        ("nan:1:1", "finite"),
        ("0:inf:1", "finite"),
        ("0:1:inf", "finite"),
        ("0:1:1e-400", "step must not be 0"),
        ("0:1:1e-6", "1000000 columns"),
        ("0:201:1", "at most 200"),
        ("0:1e308:1e-307", "at most 200"),
        ("-1e308:1e308:1", "at most 200"),
    ):
        with subtests.test(text):
            with pytest.raises(UsageError) as refusal:
                parse_offsets(text)
            message = str(refusal.value)
            assert message.startswith(f"--offset {text}")
            assert reason in message
            assert "\n" not in message
