"""What is around the tiles of a picture: the gap, and captions for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae_cli.rendering.grid import Frame, Sheet

REAL_MINUS = str.maketrans("-", "−")  # as wide as a plus sign


def make_frame(
    gap: int | None,
    *,
    bare: bool,
    title: str = "",
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    ends: Sequence[str] = (),
    below: Sequence[str] = (),
    group: int = 1,
) -> "Frame":
    """The frame of a picture; a bare one has no captions."""
    from vae_cli.rendering.captions import Captions
    from vae_cli.rendering.grid import Frame

    return Frame(gap) if bare else Frame(gap, Captions(title, columns, rows, ends, below, group))


def signed(number: float) -> str:
    """A number with its sign, for example `+0.25`; 0 has none."""
    rounded = round(number, 6)
    return f"{rounded:+.4g}".translate(REAL_MINUS) if rounded else "0"


def two_decimals(number: float) -> str:
    """A number with its sign and two decimals, for example `+0.50`; 0 is `0`."""
    return f"{number:+.2f}".translate(REAL_MINUS) if round(number, 2) else "0"


def name_latent(number: int, kl: float | None) -> str:
    """A dimension and its KL, in two lines; the number alone if the KL is not known."""
    return f"z{number}" if kl is None else f"z{number}\n{kl:.2f} nats"


def frame_sheet(
    sheet: "Sheet",
    texts: Sequence[str],
    gap: int | None,
    *,
    columns: Sequence[str],
    title: str = "",
) -> "Frame":
    """The frame of a sheet of items.

    Args:
        sheet: says which items are on it.
        texts: of all items.
        gap: pixels between tiles.
        columns: what the tiles of each item are; a list has it above its columns.
        title: of the sheet.
    """
    shown = [texts[place] for place in sheet.items]
    if sheet.is_list:
        return make_frame(gap, bare=False, title=title, columns=columns, rows=shown)
    group = len(columns)
    return make_frame(gap, bare=False, title=title, below=shown, group=group)


def describe_page(sheet: "Sheet", page: int) -> str:
    """Which page a picture is; empty if there is only one."""
    if sheet.pages == 1:
        return ""
    following = f"; --page {page + 1} is the next" if page < sheet.pages else ""
    return f"the picture is page {page} of {sheet.pages}{following}"
