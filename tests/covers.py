"""Covers: few cases out of many that together have all that any of them has, such as every pair."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

CaseT = TypeVar("CaseT")


def cover(cases: Sequence[CaseT], parts: Callable[[CaseT], Collection[object]]) -> Iterator[CaseT]:
    """Cases with every part that one of them has, those first that have most of them."""
    parts_of = [frozenset(parts(case)) for case in cases]
    missing = set[object]().union(*parts_of)
    while missing:
        best = max(range(len(cases)), key=lambda place: len(missing & parts_of[place]))
        missing -= parts_of[best]
        yield cases[best]
