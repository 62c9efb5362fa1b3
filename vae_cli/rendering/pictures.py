"""Images: read for a trained model, and written as pictures and animations."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.arrays import to_unit_images
from vae_cli.data.batches import CPU, to_unit_interval
from vae_cli.data.dataset import Spec
from vae_cli.data.folder_files import explain_left_out, explain_pages, name_pages, scan_pictures
from vae_cli.data.picture import (
    BYTE_WHITE,
    HALF_RANGE,
    Fitting,
    Picture,
    decode_pages,
    decode_picture,
)
from vae_cli.data.picture_files import decoders_silenced
from vae_cli.data.source import TABLE_SUFFIXES, is_sharded, suffix_of
from vae_cli.data.statistics import expected_border
from vae_cli.data.streamed import AnySplit
from vae_cli.data.value_range import explain_darkness, explain_outside, join_values
from vae_cli.errors import UsageError, mark, plural
from vae_cli.files import Writable, is_folder
from vae_cli.rendering.animation import write_animation
from vae_cli.rendering.arrangements import Arrangement, Reconstructions
from vae_cli.rendering.grid import (
    GAP_GREY,
    Layout,
    Sheet,
    interleave,
    make_grid,
    measure_grid,
    plan_sheet,
    to_picture,
    to_pixels,
    write_picture,
)
from vae_cli.rendering.kind import (
    AS_THEY_ARE,
    NO_TEXTS,
    Adjustment,
    ItemKind,
    ItemWriter,
    NamedItems,
    Summary,
)
from vae_cli.rendering.suffixes import ANIMATION_SUFFIXES, PICTURE_SUFFIXES, PNG

ROWS_WITHOUT_CLASSES = 6  # of examples, if the images have no classes
PAPER = 64  # of 255, by which the edge of a picture may differ from the usual one
MAX_PICTURES = 1000  # in one grid
COLOUR_NAMES = {1: " grey", 3: " RGB"}


def take_examples(split: AnySplit, classes: int, count: int) -> Tensor:
    """The first `count` images of each class, `(classes * count, C, H, W)`, or of all images.

    If a class has fewer, its row is filled with tiles in the colour of the gaps.
    """
    if not classes:
        places = torch.arange(len(split))[: ROWS_WITHOUT_CLASSES * count]
        return next(split.batches(places, len(places), CPU)).x
    tiles = torch.full((classes, count, *split.shape), GAP_GREY / 255)
    for label in range(classes):
        places = (split.labels == label).nonzero()[:count, 0]
        for batch in split.batches(places, count, CPU):
            tiles[label, : len(places)] = batch.x
    return tiles.flatten(0, 1)


class NamedPictures(NamedTuple):
    """Pictures by their names, and hints for the user."""

    pictures: dict[str, Picture]
    hints: list[str]


def read_pictures(path: Path, spec: Spec, fitting: Fitting) -> NamedPictures:
    """Read a picture, or all pictures of a folder, of which some may be unreadable.

    Args:
        path: of the picture or the folder.
        spec: what the model's items are.
        fitting: how they become items of the model.

    Raises:
        UsageError: the picture cannot be read, or none of the folder can, or it has too many.
    """
    if is_folder(path):
        pictures, hints = _read_folder(path, spec, fitting)
    else:
        pictures, hints = _read(path, path.name, spec, fitting), []
    require_count(len(pictures), path)
    hints += find_page_hints(path, spec, pictures.values())
    hints += find_range_hints(path, spec, pictures.values())
    if not fitting.find_object:
        hints += find_border_hints(path, spec, pictures.values(), inverted=fitting.invert)
    return NamedPictures(pictures, hints)


def require_count(count: int, path: Path) -> None:
    """Check that this number of pictures fits into one grid.

    Raises:
        UsageError: there are too many.
    """
    if count > MAX_PICTURES:
        raise UsageError(f"{path} has {count:,} pictures: a grid takes up to {MAX_PICTURES:,}")


def _read(path: Path, name: str, spec: Spec, fitting: Fitting) -> dict[str, Picture]:
    """The first page of a picture, or all of them if they were items of the training set."""
    with decoders_silenced():
        if spec.frames == "first":
            return {name: decode_picture(path, fitting)}
        pages = list(decode_pages(path, fitting))
    return dict(zip(name_pages(name, len(pages)), pages, strict=True))


def _read_folder(folder: Path, spec: Spec, fitting: Fitting) -> NamedPictures:
    """The pictures by their path relative to a folder, and hints about those left out."""
    files, hints = scan_pictures(folder)
    require_count(len(files), folder)
    pictures: dict[str, Picture] = {}
    reasons: list[str] = []
    for file in files:
        try:
            pictures |= _read(folder / file.name, file.name, spec, fitting)
        except UsageError as error:
            reasons.append(str(error))
    if reasons:
        first = f"the first: {reasons[0]}"
        hints.append(explain_left_out(folder, len(files), reasons, first))
    return NamedPictures(pictures, hints)


def find_page_hints(path: Path, spec: Spec, pictures: Collection[Picture]) -> list[str]:
    """A hint about pages that are left out."""
    left_out = [one.pages - 1 for one in pictures if one.pages > 1 and spec.frames == "first"]
    return [explain_pages(len(left_out), sum(left_out), path.name)] if left_out else []


def find_range_hints(path: Path, spec: Spec, pictures: Collection[Picture]) -> list[str]:
    """Hints about values that are cut off, or that are far below white."""
    values = [picture.values for picture in pictures if picture.values]
    white = max((picture.white for picture in pictures), default=BYTE_WHITE)
    hints = []
    if spec.range:
        white = spec.range[1]
        outside = sum(not one.lie_in(spec.range) for one in values)
        hints += [explain_outside(outside, len(values), spec.range, path.name)] if outside else []
    is_known = bool(values) and (spec.range is not None or white != BYTE_WHITE)
    if is_known and (darkness := explain_darkness(join_values(values), white)):
        hints.append(f"{path.name}: {darkness}")
    return hints


def find_border_hints(
    path: Path, spec: Spec, pictures: Collection[Picture], *, inverted: bool
) -> list[str]:
    """A hint that pictures look unlike the training set: like its negative, or on another paper."""
    expected = expected_border(spec)
    if expected is None:
        return []
    usual, opposite = ("dark", "light") if expected <= HALF_RANGE else ("light", "dark")
    when = f"{path.name}: {'once inverted, ' if inverted else ''}the background is"
    but = f"but that of {spec.name} is {usual}"
    if any(picture.looks_inverted(expected) for picture in pictures):
        remedy = "leave out" if inverted else "try"
        return [f"{when} {opposite}, {but}: {remedy} {mark('invert')}, or try {mark('fit=object')}"]
    if any(abs(picture.border - expected) > PAPER for picture in pictures):
        return [f"{when} grey, {but}: try {mark('fit=object')}"]
    return []


@final
class PictureWriter(ItemWriter):
    """Writes images as a grid of tiles, or as an animation of such grids.

    Args:
        spec: what the images are.
        layout: of the tiles.
    """

    def __init__(self, spec: Spec, layout: Layout) -> None:
        self.spec, self.layout = spec, layout

    def require_writable(self, count: int, path: Writable) -> None:
        """Check the size of the grid, or of all frames of an animation."""
        shown = replace(self.layout, scale=1) if is_animation(path) else self.layout
        measure_grid((count, *self.spec.shape), shown)

    def write(
        self,
        items: ArrayLike,
        path: Writable,
        texts: Mapping[str, Sequence[str]] = NO_TEXTS,  # noqa: ARG002  of a table
    ) -> None:
        """Write a grid as PNG or JPEG."""
        write_picture(make_grid(items, self.layout), path)

    def write_reconstructions(self, pairs: Reconstructions, path: Writable) -> None:
        """Write each original next to its reconstruction."""
        self.write(interleave(pairs.originals, pairs.decoded), path)

    def write_arrangement(self, arrangement: Arrangement, path: Writable) -> None:
        """Write the tiles, or the frames if the file is an animation.

        Raises:
            UsageError: the arrangement cannot be animated.
        """
        if not is_animation(path):
            tiles = arrangement.tiles()
            layout = replace(self.layout, columns=tiles.shape[1])
            write_picture(make_grid(tiles.reshape(-1, *tiles.shape[2:]), layout), path)
            return
        frames = arrangement.frames()
        if frames is None:
            raise UsageError(f"{mark('output')} {path}: end the name with .png")
        columns = math.ceil(math.sqrt(frames.shape[1]))
        write_animation(frames, path, replace(self.layout, columns=columns))

    def write_examples(self, splits: Mapping[str, AnySplit], output: Writable | None) -> str:
        """Write training images of each class, and return the path."""
        path = output or Path(f"data{PNG}")
        if is_animation(path):
            raise UsageError(f"{mark('output')} {path}: end the name with .png")
        classes = self.spec.classes
        examples = take_examples(splits["train"], len(classes), self.layout.columns)
        write_picture(make_grid(examples, self.layout, classes), path)
        return str(path)


@final
class Pictures(ItemKind):
    """Images `(N, C, H, W)` with pixels in [0, 1], written as PNG, JPEG, GIF or WebP."""

    items_name = "pictures"
    output_suffixes = PICTURE_SUFFIXES + ANIMATION_SUFFIXES
    samples_noise = False
    preview_items = 32
    preview_samples = 64

    def read(self, path: Path, adjustment: Adjustment = AS_THEY_ARE) -> NamedItems:
        """Read a picture, or all pictures of a folder; in a folder, some may be unreadable."""
        if is_sharded(str(path)):
            raise UsageError(f"{path} is in shards: name it with {mark('data')}")
        if suffix_of(path) in TABLE_SUFFIXES:
            raise UsageError(f"{path}: {self.spec.name} is of images; give pictures")
        fitting = Fitting.of(
            self.spec, invert=adjustment.invert, find_object=adjustment.find_object
        )
        pictures, hints = read_pictures(path, self.spec, fitting)
        pixels = torch.stack([picture.pixels for picture in pictures.values()])
        return NamedItems(list(pictures), to_unit_interval(pixels), hints)

    def take_array(self, items: Tensor, path: Path) -> NamedItems:
        """The images of an array file, scaled to [0, 1]."""
        require_count(len(items), path)
        names = [f"{path.name} {number}" for number in range(len(items))]
        return NamedItems(names, to_unit_images(items, self.spec.range, path), [])

    def writer(self, layout: Layout) -> PictureWriter:
        """What writes images, laid out like this."""
        return PictureWriter(self.spec, layout)

    def plan_sheet(self, count: int, layout: Layout, *, page: int, group: int) -> Sheet | None:
        """The items of one page."""
        return plan_sheet(self.spec.shape, count, layout, page=page, group=group)

    def write_item(self, item: Tensor, path: Writable) -> None:
        """Write one image as PNG, without enlarging it."""
        write_picture(to_picture(to_pixels(to_unit_interval(item))), path)

    def to_records(self, items: ArrayLike) -> list[dict[str, Any]]:
        """Nothing: JSON has no pixels."""
        return [{} for _ in np.asarray(items)]

    def describe(self, count: int | None = None) -> str:
        """For example `images of 28x28 grey`, or `1 image of 28x28 grey`."""
        channels, height, width = self.spec.shape
        images = "images" if count is None else plural(count, "image")
        return f"{images} of {height}x{width}{COLOUR_NAMES.get(channels, '')}"

    def summarize(self, splits: Mapping[str, AnySplit]) -> Summary:
        """The number of images of each class in each part."""
        classes, parts = self.spec.classes, splits.values()
        counts = [part.labels.bincount(minlength=len(classes)).tolist() for part in parts]
        rows = list(zip(classes, *counts, strict=True)) if classes else []
        records = [dict(zip(("name", *splits), row, strict=True)) for row in rows]
        return Summary(("class", *splits), [*rows, ("all", *map(len, parts))], "classes", records)


def is_animation(path: Writable) -> bool:
    """Whether the file is an animation."""
    return path.suffix.lower() in ANIMATION_SUFFIXES
