"""What a named experiment is expected to reach, and who published it: the table `[published]`.

The table stands in a config file beside the settings and is none of them: `vae train` checks it and
trains without it, and `vae reproduce` judges a run by it.
"""

import dataclasses
import difflib
import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval, Len

from vae_cli.errors import UsageError
from vae_cli.settings.values import show_value, simplify
from vae_cli.settings.variant import Setting, section

if TYPE_CHECKING:
    from pydantic import TypeAdapter

TABLE = "published"
FigureName = Literal["elbo", "log_likelihood", "active_units", "mig_chen", "psnr", "ssim"]


@section
class Claim:
    """One figure, and the number that it should reach or beat, or the experiments to exceed."""

    figure: Annotated[FigureName, Setting("Figure of the evaluation; a larger one is better.")]
    expected: Annotated[
        float | None, Interval(ge=-1e9, le=1e9), Setting("Number that was published.")
    ] = None
    tolerance: Annotated[
        float | None,
        Interval(gt=0, le=1e9),
        Setting("Distance from the expected number at which the claim still holds."),
    ] = None
    beats: Annotated[
        float | None, Interval(ge=-1e9, le=1e9), Setting("Published number that it should exceed.")
    ] = None
    above: Annotated[
        tuple[str, ...], Setting("Named experiments whose figure is expected to be lower.")
    ] = ()
    by: Annotated[
        float,
        Interval(ge=-1e9, le=1e9),
        Setting("Smallest distance above them; below 0, the largest distance under them."),
    ] = 0.0


@section
class Published:
    """What an experiment is expected to reach. Nothing in it changes the training."""

    source: Annotated[str, Len(1), Setting("Where the number was published.")]
    protocol: Annotated[
        str, Len(1), Setting("How it was reached there, and what deviates from it here.")
    ]
    claims: Annotated[tuple[Claim, ...], Setting("Figures and the numbers expected of them.")] = ()
    samples: Annotated[
        int, Interval(ge=1, le=1_000_000), Setting("Importance samples of each item.")
    ] = 5000
    seeds: Annotated[
        tuple[Annotated[int, Interval(ge=0, le=2**63 - 1)], ...],
        Setting("Seeds of several runs, whose mean is judged; without any, one run is made."),
    ] = ()
    time: Annotated[str, Setting("How long the training takes, and on what.")] = "unknown"
    status: Annotated[str, Setting("What was measured, where docs/results.md has it.")] = (
        "not run here"
    )


def validate_published(source: str, table: object) -> Published:
    """The table `[published]` of a config file.

    Raises:
        UsageError: an unknown key (the message names the nearest), a missing one, a wrong type, a
            value out of range, or a claim without something to compare with.
    """
    from pydantic import ValidationError

    try:
        text = json.dumps(table, default=str)
        published = _validator().validate_json(text, strict=True)
    except ValidationError as error:
        raise UsageError(f"{source}: {_explain(error.errors()[0])}") from error
    for claim in published.claims:
        _require_comparison(f"{source}: {TABLE}.claims: {claim.figure}", claim)
    return published


def split_published(source: str, tables: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The settings of a config file, and what it is expected to reach, or None.

    Raises:
        UsageError: as in `validate_published`.
    """
    settings = {name: table for name, table in tables.items() if name != TABLE}
    published = validate_published(source, tables[TABLE]) if TABLE in tables else None
    return settings, published


@functools.cache
def _validator() -> "TypeAdapter[Published]":
    from pydantic import TypeAdapter

    return TypeAdapter(Published)


def _require_comparison(label: str, claim: Claim) -> None:
    """Check that a claim is about a number to reach, a number to beat, or other experiments."""
    pair = (claim.expected is not None, claim.tolerance is not None)
    if any(pair) + (claim.beats is not None) + bool(claim.above) != 1 or any(pair) != all(pair):
        raise UsageError(f"{label}: give one of: expected with its tolerance, beats, or above")
    if claim.by and not claim.above:
        raise UsageError(f"{label}: by has no effect without above")


def _explain(error: Any) -> str:
    """One line for an error of pydantic."""
    where = [str(part) for part in error["loc"] if not isinstance(part, int)]
    key = ".".join([TABLE, *where])
    if error["type"] == "unexpected_keyword_argument":
        kind = Claim if len(where) > 1 else Published
        known = [item.name for item in dataclasses.fields(kind)]
        near = difflib.get_close_matches(where[-1], known, n=1, cutoff=0.0)[0]
        return f"{key} is not known; the nearest is {near}"
    if error["type"] == "missing":
        return f"{key} is missing"
    return f"{key} = {show_value(error['input'])}: {simplify(error['msg'])}"
