"""The schema of all settings: every setting has a help text, and a range or a list of choices."""

import math

import pytest

from vae_cli.errors import UsageError
from vae_cli.settings import Config, Entry, entries, merge, to_dict

ENTRIES = list(entries())


def entry_key(entry: Entry) -> str:
    return entry.key


def test_the_entries_are_all_settings_in_their_order_and_no_flag_is_used_twice() -> None:
    tables = to_dict(Config())
    keys = [f"{section}.{name}" for section, table in tables.items() for name in table]
    assert [entry.key for entry in ENTRIES] == keys
    flags = [entry.flag for entry in ENTRIES if entry.flag]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("entry", ENTRIES, ids=entry_key)
def test_the_default_of_an_entry_is_the_default_of_the_config(entry: Entry) -> None:
    assert getattr(getattr(Config(), entry.section), entry.name) == entry.default


@pytest.mark.parametrize("entry", ENTRIES, ids=entry_key)
def test_every_setting_has_a_help_text_and_a_range_around_its_default(entry: Entry) -> None:
    assert entry.help.endswith(".")
    assert entry.help[0].isupper()
    assert entry.flag is None or entry.flag.startswith("--")
    if entry.low is not None:
        assert entry.high is not None
        assert math.isfinite(entry.high)
        assert entry.default in entry.choices or entry.low <= entry.default <= entry.high
        assert not (entry.open_below and entry.default == entry.low)
        assert entry.range
    elif entry.format:
        assert entry.range == entry.format
        assert entry.format in entry.help
    elif entry.type is bool:
        assert entry.range == "true, false"
    elif entry.range:
        assert entry.default in entry.choices
        assert entry.default in entry.range


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.low is not None], ids=entry_key
)
def test_the_ends_of_a_range_are_allowed_and_what_is_beyond_them_is_refused(entry: Entry) -> None:
    low, high = entry.low, entry.high
    assert low is not None
    assert high is not None
    step = 1 if entry.type is int else 1e-9 * (high - low)

    def accepted(number: float) -> bool:
        try:
            merge(("test", {entry.section: {entry.name: number}}))
        except UsageError:
            return False
        return True

    assert accepted(high)
    assert not accepted(high + step)
    assert accepted(low) is not entry.open_below
    assert accepted(low + step)
    assert not accepted(low - step)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("training.epochs", "1 ≤ x ≤ 100,000"),
        ("optimizer.learning_rate", "0 < x ≤ 1"),
        ("model.network", "auto, mlp, conv, two-level, hierarchical"),
        ("training.save_every", "epochs (5), seconds (30s) or minutes (10m)"),
        ("data.name", ""),
    ],
)
def test_a_range_is_written_for_a_person(key: str, expected: str) -> None:
    (entry,) = (entry for entry in ENTRIES if entry.key == key)
    assert entry.range == expected
