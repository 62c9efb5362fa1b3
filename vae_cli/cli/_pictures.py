"""The pictures that commands write: their file, and the gap and the captions around their tiles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

from vae_cli.cli._console import Terminal
from vae_cli.cli._options import Force, Gap, OptionGroup, Scale, output_option
from vae_cli.cli._output import Request, require_items_name

if TYPE_CHECKING:
    from vae_cli.rendering.grid import Frame, Sheet

REAL_MINUS = str.maketrans("-", "−")  # as wide as a plus sign


@final
@dataclass(frozen=True, kw_only=True)
class ItemsOutput:
    """The file of pictures or rows that a command writes, and the size of the tiles of a picture.

    Attributes:
        path: that was typed; None means a default name.
        force: whether a file that `vae` did not write may be replaced.
        scale: the edge of an enlarged pixel; None makes tiles of 84 pixels or more.
        gap: the pixels between tiles; None means half an enlarged pixel.
        is_animated: whether the command can write an animation.
    """

    path: Path | None
    force: bool
    scale: int | None
    gap: int | None
    is_animated: bool

    def request(self, terminal: Terminal, inputs: Iterable[Path | str | None] = ()) -> Request:
        """Ask for the file; `inputs` are what the command reads.

        Raises:
            UsageError: the path may not be written, or its extension cannot be.
            VAEError: it is not a file, such as a folder, a pipe or a device.
        """
        require_items_name(self.path, animated=self.is_animated)
        return Request(
            self.path, terminal, inputs=inputs, force=self.force, json=terminal.wants_json
        )


def make_pictures_output(
    *,
    output: Annotated[
        Path | None,
        output_option(
            "File to write: .png or .jpg, or .csv for rows. [default: the command's name]"
        ),
    ] = None,
    force: Force = False,
    scale: Scale = None,
    gap: Gap = None,
) -> ItemsOutput:
    """The output of a command that writes pictures or rows."""
    return ItemsOutput(path=output, force=force, scale=scale, gap=gap, is_animated=False)


def make_animated_output(
    *,
    output: Annotated[
        Path | None,
        output_option(
            "File to write: .png or .jpg, .gif or .webp for an animation, or .csv for rows. "
            "[default: the command's name]"
        ),
    ] = None,
    force: Force = False,
    scale: Scale = None,
    gap: Gap = None,
) -> ItemsOutput:
    """The output of a command that can write an animation too."""
    return ItemsOutput(path=output, force=force, scale=scale, gap=gap, is_animated=True)


PicturesOutput = Annotated[ItemsOutput, OptionGroup(make_pictures_output)]
AnimatedOutput = Annotated[ItemsOutput, OptionGroup(make_animated_output)]


def make_frame(
    gap: int | None,
    *,
    has_captions: bool = True,
    title: str = "",
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    ends: Sequence[str] = (),
    below: Sequence[str] = (),
    group: int = 1,
) -> "Frame":
    """The frame of a picture, with or without captions."""
    from vae_cli.rendering.captions import Captions
    from vae_cli.rendering.grid import Frame

    if not has_captions:
        return Frame(gap)
    return Frame(gap, Captions(title, columns, rows, ends, below, group))


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
        return make_frame(gap, title=title, columns=columns, rows=shown)
    group = len(columns)
    return make_frame(gap, title=title, below=shown, group=group)


def describe_page(sheet: "Sheet", page: int) -> str:
    """Which page a picture is; empty if there is only one."""
    if sheet.pages == 1:
        return ""
    following = f"; --page {page + 1} is the next" if page < sheet.pages else ""
    return f"the picture is page {page} of {sheet.pages}{following}"
