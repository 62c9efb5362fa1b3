"""What the columns of a table mean.

A row of a table is a vector of float64, one number per column, whatever the columns hold; what each
number means is said here:

    number, integer   the value itself
    category          the index of its text in `categories`
    date              seconds since 1970-01-01; a date without a time zone counts as one of UTC
    constant          0; the only value that the column has is the text `categories[0]`

NaN is a missing value. So the rows of every table are one tensor, which is divided, compared and
kept like any other, and only the codec, the likelihood and what is written look at the kinds.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, cast, final, get_args

from vae_cli.errors import UsageError, join_or, mark, shorten

ColumnKind = Literal["number", "integer", "category", "date", "constant"]
Normalization = Literal["standard", "quantile"]
ITEM_COLUMNS = ("name", "part", "label")  # of what is written about items, beside their ids
AskedName = Literal["number", "integer", "category", "date", "id"]


@final
@dataclass(frozen=True, kw_only=True)
class CellFormat:
    """How the cells of a column are spelled, so that they can be written as they were read.

    Attributes:
        decimals: the largest number of digits after the decimal sign; None if it differs so much
            that significant digits tell more. Of a date, the digits of the fraction of a second.
        min_decimals: the smallest number of them, which zeros at the end fill up: 1 for `5.0`.
        prefix: of every cell, such as `$`.
        suffix: of every cell, such as `%`.
        thousands: the sign between thousands; empty if there is none.
        date: the pattern of a date, as `strftime` takes it.
        missing: how a missing value is written.
    """

    decimals: int | None = None
    min_decimals: int = 0
    prefix: str = ""
    suffix: str = ""
    thousands: str = ""
    date: str = ""
    missing: str = ""


PLAIN = CellFormat()


@final
@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table that rows have.

    Attributes:
        name: its title.
        kind: what its numbers mean.
        categories: the texts of a category in the order of their codes, or the one of a constant.
        normalization: how a number, an integer or a date becomes what a network takes; None leaves
            it to the settings of the likelihood.
        format: how its cells are spelled.

    Example:
        >>> cut = Column(name="cut", kind="category", categories=("Fair", "Good"))
        >>> cut.categories[1]
        'Good'
    """

    name: str
    kind: ColumnKind = "number"
    categories: tuple[str, ...] = ()
    normalization: Normalization | None = None
    format: CellFormat = PLAIN

    @property
    def is_measured(self) -> bool:
        """Whether its values are on a scale: numbers, integers and dates are, categories not."""
        return self.kind in {"number", "integer", "date"}


def number_columns(*names: str) -> tuple[Column, ...]:
    """Columns of numbers with these names."""
    return tuple(Column(name=name) for name in names)


def free_name(name: str, taken: Collection[str]) -> str:
    """A name for a column beside others, which may have it already."""
    while name in taken:
        name = f"vae {name}"
    return name


@final
@dataclass(frozen=True, kw_only=True)
class AskedKind:
    """What the user says of a column.

    Attributes:
        kind: what it is.
        normalization: how its numbers become what a network takes; None leaves it open.
        pattern: of its dates; empty if it is to be found.
    """

    kind: AskedName
    normalization: Normalization | None = None
    pattern: str = ""


def parse_kinds(texts: Sequence[str]) -> dict[str, AskedKind]:
    """What the user says of some columns.

    Example:
        >>> parse_kinds(["zip=category", "price=number:standard"])["zip"].kind
        'category'
        >>> parse_kinds(["joined=date:%d.%m.%Y"])["joined"].pattern
        '%d.%m.%Y'

    Raises:
        UsageError: a text is not `NAME=KIND`, or a kind is none.
    """
    return dict(map(_parse_kind, texts))


def _parse_kind(text: str) -> tuple[str, AskedKind]:
    name, equals, kind = text.rpartition("=")
    kind, _, detail = kind.strip().partition(":")
    if not (equals and name.strip()) or kind not in get_args(AskedName):
        allowed = join_or(get_args(AskedName))
        raise UsageError(
            f"{mark('data.columns')} {shorten(text)}: write COLUMN=KIND with the kind {allowed}"
        )
    if kind == "date" and (not detail or re.search("%[a-zA-Z]", detail)):
        return name.strip(), AskedKind(kind="date", pattern=detail)
    is_measured = kind in {"number", "integer", "date"}
    if detail and not (is_measured and detail in get_args(Normalization)):
        allowed = f"{join_or(get_args(Normalization))}" if is_measured else "nothing"
        raise UsageError(
            f"{mark('data.columns')} {shorten(text)}: after {kind}: comes {allowed}, not {detail}"
        )
    normalization = cast("Normalization | None", detail or None)
    return name.strip(), AskedKind(kind=cast("AskedName", kind), normalization=normalization)
