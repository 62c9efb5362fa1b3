"""What a command passes through a model: a person's files, or some of what was held out."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vae_cli.cli.console import Terminal
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.data import Spec
    from vae_cli.trained import Trained

MOST = 1000  # pictures in one grid


def read_items(
    paths: Sequence[Path], spec: "Spec", terminal: Terminal, *, invert: bool
) -> tuple[list[str], "Tensor"]:
    """Names, and float32 items `(N, C, H, W)` in [0, 1] or `(N, D)`, in a model's shape.

    Raises:
        UsageError: a file cannot be read, or holds something that the model did not learn.
    """
    import torch

    named = [_read(path, spec, terminal, invert=invert) for path in paths]
    return [name for names, _ in named for name in names], torch.cat([items for _, items in named])


def held_out_items(trained: "Trained", start: int, count: int) -> tuple[list[str], "Tensor"]:
    """Names and items of the test set, from the one at `start`.

    Raises:
        UsageError: there are fewer, or the data are not there any more.
    """
    from vae_cli.data import gather

    test, classes = trained.held_out(), trained.spec.classes
    if start >= len(test):
        raise UsageError(f"--index {start}: the test set has items 0 to {len(test) - 1}")
    names = [
        f"{start + row} {classes[label]}" if classes else str(start + row)
        for row, label in enumerate(_labels(test.labels[start : start + count], count))
    ]
    items = gather(test.items, test.rows[start : start + count])
    return names[: len(items)], items


def _labels(labels: "Tensor", count: int) -> list[int]:
    return [int(label) for label in labels] if len(labels) else [0] * count


def _read(
    path: Path, spec: "Spec", terminal: Terminal, *, invert: bool
) -> tuple[list[str], "Tensor"]:
    """Names and items of one file or folder."""
    from vae_cli.data import arrays, table

    suffix = path.suffix.lower()
    if suffix in arrays.SUFFIXES:
        return _read_array(path, spec)
    if suffix in table.SUFFIXES and not spec.is_image:
        return _read_table(path, spec)
    if not spec.is_image:
        raise UsageError(f"{path}: {spec.name} is a table; give a .csv, .tsv or .npy file of rows")
    if suffix in table.SUFFIXES:
        raise UsageError(f"{path}: {spec.name} is of images; give pictures")
    return _read_pictures(path, spec, terminal, invert=invert)


def _read_table(path: Path, spec: "Spec") -> tuple[list[str], "Tensor"]:
    """Rows with the columns in the order in which the model learned them."""
    from vae_cli.data import table

    (columns, rows), count = table.read(path), len(spec.columns)
    if sorted(columns) == sorted(spec.columns):
        rows = rows[:, [columns.index(name) for name in spec.columns]]
    elif table.unnamed(len(columns)) not in {columns, spec.columns} or len(columns) != count:
        missing = [name for name in spec.columns if name not in columns]
        lack = f"lacks {missing[0]}" if missing else f"has {columns[-1]}, which is not among them"
        raise UsageError(f"{path} {lack}: {spec.name} has {count} columns")
    return [f"{path.name} row {n}" for n in range(1, len(rows) + 1)], rows.float()


def _read_array(path: Path, spec: "Spec") -> tuple[list[str], "Tensor"]:
    from vae_cli.data import arrays, unit_interval

    items = arrays.read(path)[0]
    if items.shape[1:] != spec.shape:
        found, learned = ("x".join(map(str, shape)) for shape in (items.shape[1:], spec.shape))
        raise UsageError(f"{path} holds items of {found}, but {spec.name} is of {learned}")
    if spec.is_image:
        _check_count(len(items), path)
    arrays.check(items, path)
    return [f"{path.name} {number}" for number in range(len(items))], unit_interval(items)


def _check_count(count: int, path: Path) -> None:
    if count > MOST:
        raise UsageError(f"{path} has {count:,} pictures: a grid takes up to {MOST:,}")


def _read_pictures(
    path: Path, spec: "Spec", terminal: Terminal, *, invert: bool
) -> tuple[list[str], "Tensor"]:
    """A picture, or those of a folder; says so when one looks like a negative."""
    import torch

    from vae_cli import data, images

    paths = _pictures_in(path) if os.path.isdir(path) else [path]  # noqa: PTH112
    found = [
        images.read(path, spec.shape, background=spec.background, invert=invert, crop=spec.cropped)
        for path in paths
    ]
    negatives = [picture for picture in found if picture.looks_inverted(spec.background)]
    if negatives and not spec.cropped:
        learned, seen = ("dark", "light") if spec.background == 0 else ("light", "dark")
        remedy = "leave out" if invert else "try"
        terminal.remark(
            f"{path.name}: the background is {seen}, but that of {spec.name} is {learned}: "
            f"{remedy} --invert",
            "yellow",
        )
    pixels = torch.stack([picture.pixels for picture in found])
    return [path.name for path in paths], data.unit_interval(pixels)


def _pictures_in(folder: Path) -> list[Path]:
    from vae_cli.data.folder import scan

    names = sorted(found.name for found in scan(folder))
    if not names:
        raise UsageError(f"no pictures in {folder}")
    _check_count(len(names), folder)
    return [folder / name for name in names]
