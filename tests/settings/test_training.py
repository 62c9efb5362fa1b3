"""How often a run is saved: epochs, seconds or minutes."""

import pytest

from vae_cli.errors import UsageError
from vae_cli.settings import Config, SaveInterval, merge


def test_a_number_is_epochs_and_a_unit_makes_it_seconds_or_minutes() -> None:
    for text, expected in {
        "1": SaveInterval(epochs=1),
        "005": SaveInterval(epochs=5),
        "9999999": SaveInterval(epochs=9_999_999),
        "30s": SaveInterval(seconds=30),
        "10m": SaveInterval(seconds=600),
    }.items():
        training = merge(("test", {"training": {"save_every": text}})).training
        assert training.save_every == text
        assert training.save_interval == expected
    assert Config().training.save_interval == SaveInterval(seconds=60)


MALFORMED = ["0", "0s", "-1", "+1", "1h", "", " 1", "1 s", "1.5m", "m", "nan", "1e3", "99999999"]


def test_a_malformed_interval_is_refused_with_the_three_forms() -> None:
    for text in [*MALFORMED, "1\n", "٣", "x"]:
        with pytest.raises(UsageError) as refusal:
            merge(("test", {"training": {"save_every": text}}))
        message = str(refusal.value)
        assert message.startswith("test: training.save_every = ")
        assert message.endswith(": must be epochs (5), seconds (30s) or minutes (10m)")
        assert "\n" not in message


def test_the_message_has_the_text_as_it_was_written() -> None:
    with pytest.raises(UsageError) as refusal:
        merge(("command line", {"training": {"save_every": "x"}}))
    assert str(refusal.value) == (
        'training.save_every = "x": must be epochs (5), seconds (30s) or minutes (10m)'
    )


def test_an_interval_that_is_not_text_is_refused() -> None:
    for value in (5, 1.5, True, ["5"]):
        with pytest.raises(UsageError, match=r"training\.save_every = .*: must be a valid string"):
            merge(("test", {"training": {"save_every": value}}))
