"""What a command writes: pictures as a PNG grid or an animation, rows as a table."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from vae_cli.data import Spec

PICTURES, MOVING, TABLES = (".png",), (".gif", ".webp"), (".csv", ".tsv")


def check_output(path: Path | None, inputs: Sequence[Path] = (), *, moving: bool = False) -> None:
    """Refuse early a name that nothing can be written to.

    Args:
        path: what was asked for, if anything was.
        inputs: what is read.
        moving: whether the command can write an animation.

    Raises:
        UsageError: another extension, or one of the inputs.
    """
    if path is None:
        return
    allowed = PICTURES + TABLES + (MOVING if moving else ())
    if path.suffix.lower() not in allowed:
        animations = ", .gif or .webp to make them move" if moving else ""
        raise UsageError(
            f"--output {path}: end it with .png for pictures{animations}, .csv for rows"
        )
    if any(os.path.realpath(path) == os.path.realpath(source) for source in inputs):
        raise UsageError(f"--output {path} would overwrite what is read")


def output_for(path: Path | None, verb: str, spec: "Spec") -> Path:
    """Where to write: what was asked for, or the command's name.

    Raises:
        UsageError: the extension is not for what the model makes.
    """
    allowed = PICTURES + MOVING if spec.is_image else TABLES
    if path is None:
        return Path(f"{verb}{allowed[0]}")
    if path.suffix.lower() not in allowed:
        what = "pictures" if spec.is_image else "rows of a table"
        raise UsageError(f"--output {path}: this model makes {what}; end it with {allowed[0]}")
    return path


def is_moving(path: Path) -> bool:
    """Whether an animation is written there."""
    return path.suffix.lower() in MOVING


def write_items(
    items: "ArrayLike", path: Path, spec: "Spec", *, columns: int, scale: int | None = None
) -> None:
    """Images `(N, C, H, W)` as a grid, or rows `(N, D)` under the columns of the data.

    Raises:
        UsageError: the grid would be too large.
        VAEError: the file cannot be written.
    """
    from vae_cli import images
    from vae_cli.data import table

    if spec.is_image:
        images.write_png(images.grid(items, columns=columns, scale=scale), path)
    else:
        table.write(path, spec.columns, items)
