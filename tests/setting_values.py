"""Values for settings, inside and outside of their ranges, and the tables that a file needs."""

import functools
from collections.abc import Iterator
from typing import Any, get_args

import tomli_w
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vae_cli.settings import Entry, entries, sections

floats = functools.partial(st.floats, allow_subnormal=False)  # torch flushes them to 0
EXAMPLES = {  # of texts that not every text is like
    "data.range": ["", "data", "0:4095", "-1:1"],
    "training.save_every": ["5", "30s", "10m", "1m"],
}
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def tables_for(entry: Entry, value: Any) -> Iterator[dict[str, dict[str, Any]]]:
    """Files with one setting: one with each variant that has it."""
    (part,) = (part for part in sections() if part.name == entry.section)
    for chosen in [{part.key: name} for name in entry.variants] or [{}]:
        yield {entry.section: {**chosen, entry.name: value}}


def as_toml(value: Any) -> str:
    """A value on one line, as it is typed after `--set KEY=`."""
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    return tomli_w.dumps({"v": value}).removeprefix("v = ").removesuffix("\n")


def allowed(entry: Entry) -> SearchStrategy[Any]:
    """Values that a setting may have, as TOML has them."""
    if entry.format:
        return st.sampled_from(EXAMPLES[entry.key])
    if entry.type is bool:
        return st.booleans()
    words = [st.sampled_from(entry.choices)] if entry.choices else []
    if entry.low is not None and entry.high is not None:
        return st.one_of(*words, numbers(entry, entry.low, entry.high))
    if words:
        return words[0]
    if isinstance(entry.default, tuple):
        is_text = str in get_args(entry.type)
        one = TEXTS if is_text else st.integers(2, 65536)
        return st.lists(one, min_size=1, max_size=16)
    return TEXTS


def is_whole(entry: Entry) -> bool:
    """Whether a setting is a whole number, or a word instead of one."""
    kinds = (entry.type, *get_args(entry.type))
    return any(getattr(kind, "__origin__", kind) is int for kind in kinds)


def numbers(entry: Entry, low: float, high: float) -> SearchStrategy[float]:
    """Numbers in a range, of the type of a setting."""
    if is_whole(entry):
        return st.integers(int(low), int(high))
    inside = floats(low, high)  # `exclude_min` needs the numbers that torch flushes
    return inside.filter(lambda x: x > low) if entry.open_below else inside


def refused(entry: Entry, *, of_json: bool = False) -> SearchStrategy[Any]:
    """Values that a setting with a range, or with a list of words, may not have.

    JSON has no number that is none.
    """
    others: list[SearchStrategy[Any]] = [st.none(), st.just({"a": 1}), st.just([[]])]
    if entry.range and entry.type is not bool:
        others.append(st.text("abcxyz!", min_size=12))
    if entry.low is not None and entry.high is not None:
        others += [*numbers_outside(entry, entry.low, entry.high), st.booleans()]
        others += [] if of_json else [st.just(float("nan"))]
    return st.one_of(others)


def numbers_outside(entry: Entry, low: float, high: float) -> list[SearchStrategy[float]]:
    """Numbers below and above a range, of the type of a setting."""
    if is_whole(entry):
        return [st.integers(max_value=int(low) - 1), st.integers(min_value=int(high) + 1)]
    below = floats(max_value=low).filter(lambda x: x < low or entry.open_below)
    return [below, floats(min_value=high).filter(lambda x: x > high)]


@st.composite
def files(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """A config file: a variant for some sections, and values for some settings that it has."""
    tables: dict[str, dict[str, Any]] = {}
    for part in sections():
        table: dict[str, Any] = {}
        if part.key and draw(st.booleans()):
            table[part.key] = draw(st.sampled_from(part.names))
        variant = part.find(table[part.key]) if table else part.default
        for entry in entries():
            has = entry.section == part.name and hasattr(variant, entry.name)
            if has and entry.name != part.key and draw(st.booleans()):
                table[entry.name] = draw(allowed(entry))
        tables[part.name] = table
    return tables
