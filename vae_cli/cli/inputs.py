"""What a command passes through a model: a person's files, or some of what was held out."""

import difflib
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


def items_of_classes(trained: "Trained", names: Sequence[str]) -> tuple[list[str], "Tensor"]:
    """Names and items of the test set: the first of each class that is named, once more the next.

    Without names they are of the first and of the last class, or the first two of all.

    Raises:
        UsageError: a class is unknown or has too few items, or there are no classes.
    """
    from vae_cli.data import gather

    test, spec = trained.held_out(), trained.spec
    labels = [class_named(name, spec) for name in names]
    found = test.labels.unique().tolist() if spec.classes else []
    if not names and len(found) > 1:
        labels = [found[0], found[-1]]
    places = [(test.labels == label).nonzero()[:, 0].tolist() for label in labels]
    nth = [labels[:place].count(label) for place, label in enumerate(labels)]
    for label, those, number in zip(labels, places, nth, strict=True):
        if number >= len(those):
            few = f"only {len(those)}" if those else "no"
            raise UsageError(f"--class {spec.classes[label]}: the test set has {few} of them")
    rows = [those[number] for those, number in zip(places, nth, strict=True)] or [0, 1]
    if max(rows) >= len(test):
        raise UsageError("the test set has one item: name two files")
    called = [f" {spec.classes[label]}" for label in labels] or ["", ""]
    names = [f"{row}{name}" for row, name in zip(rows, called, strict=True)]
    return names, gather(test.items, test.rows[rows])


def class_named(name: str, spec: "Spec") -> int:
    """The label of a class, whatever the case of its name.

    Raises:
        UsageError: there is none of that name, or there are no classes.
    """
    if not spec.classes:
        raise UsageError(f"--class {name}: {spec.name} has no classes")
    if name in spec.classes:
        return spec.classes.index(name)
    folded = [known.casefold() for known in spec.classes]
    (near,) = difflib.get_close_matches(name.casefold(), folded, 1, cutoff=0)
    label = folded.index(near)
    if near != name.casefold():
        raise UsageError(f"--class {name}: did you mean {spec.classes[label]}?")
    return label


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

    rows = table.read_like(path, spec).float()
    return [f"{path.name} row {n}" for n in range(1, len(rows) + 1)], rows


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
        now, remedy = ("once inverted, ", "leave out") if invert else ("", "try")
        terminal.remark(
            f"{path.name}: {now}the background is {seen}, but that of {spec.name} is {learned}: "
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
