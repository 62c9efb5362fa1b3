"""START:STOP:STEP, the numbers that `vae traverse` adds to the latent."""

import pytest

from vae_cli.cli._inputs import parse_offsets
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


def test_the_largest_number_of_columns_is_allowed() -> None:
    assert len(parse_offsets("0:200:1")) == 200


@pytest.mark.parametrize(
    ("text", "reason"),
    [
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
    ],
)
def test_bad_offsets_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_offsets(text)
    message = str(refusal.value)
    assert message.startswith(f"--offset {text}")
    assert reason in message
    assert "\n" not in message
