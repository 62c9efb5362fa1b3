"""The pictures that commands write: their file, and the gap and the captions around their tiles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

from vae_cli.cli._console import Terminal
from vae_cli.cli._options import Force, Gap, OptionGroup, Scale, output_option
from vae_cli.cli._output import Request, require_items_name

if TYPE_CHECKING:
    from vae_cli.rendering.grid import Layout, Sheet

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
            self.path,
            terminal,
            inputs=inputs,
            force=self.force,
            json=terminal.wants_json,
            is_items=True,
        )

    def lay_out(
        self,
        columns: int,
        *,
        has_captions: bool = True,
        title: str = "",
        above: Sequence[str] = (),
        left: Sequence[str] = (),
        right: Sequence[str] = (),
    ) -> "Layout":
        """The layout of a picture of so many columns, with or without captions."""
        from vae_cli.rendering.captions import NO_CAPTIONS, Captions
        from vae_cli.rendering.grid import Layout

        captions = Captions(title=title, above=above, left=left, right=right)
        shown = captions if has_captions else NO_CAPTIONS
        return Layout(columns=columns, scale=self.scale, gap=self.gap, captions=shown)


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


def lay_out_sheet(
    sheet: "Sheet", texts: Sequence[str], layout: "Layout", *, above: Sequence[str], title: str = ""
) -> "Layout":
    """The layout of a sheet of items.

    Args:
        sheet: says which items are on it.
        texts: of all items.
        layout: the size of the tiles, and the gap between them.
        above: what the tiles of each item are; a list has it above its columns.
        title: of the sheet.
    """
    from vae_cli.rendering.captions import Captions

    shown = [texts[place] for place in sheet.items]
    if sheet.is_list:
        captions = Captions(title=title, above=above, left=shown)
    else:
        captions = Captions(title=title, below=shown, group=len(above))
    return replace(layout, columns=sheet.columns, captions=captions)


def describe_page(sheet: "Sheet", page: int) -> str:
    """Which page a picture is; empty if there is only one."""
    if sheet.pages == 1:
        return ""
    following = f"; --page {page + 1} is the next" if page < sheet.pages else ""
    return f"the picture is page {page} of {sheet.pages}{following}"
