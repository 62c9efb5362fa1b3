"""Images."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.batches import to_unit_interval
from vae_cli.data.catalogue import TABLE_SUFFIXES
from vae_cli.data.dataset import Split
from vae_cli.data.picture import Fitting
from vae_cli.errors import UsageError
from vae_cli.files import Writable
from vae_cli.items import ANIMATION_SUFFIXES, PICTURE_SUFFIXES
from vae_cli.items.examples import take_examples
from vae_cli.items.kind import ItemKind, NamedItems, Summary
from vae_cli.items.picture_files import read_pictures
from vae_cli.items.writer import NO_TEXTS
from vae_cli.render.animation import append_reverse, write_animation
from vae_cli.render.grid import (
    BARE,
    Frame,
    interleave,
    lay_out,
    make_grid,
    to_picture,
    to_pixels,
    write_picture,
)
from vae_cli.render.sheets import Sheet, plan_sheet

MAX_PICTURES = 1000  # in one grid
COLOUR_NAMES = {1: " grey", 3: " RGB"}


@final
class Pictures(ItemKind):
    """Images `(N, C, H, W)` with pixels in [0, 1], written as PNG, JPEG, GIF or WebP."""

    items_name = "pictures"
    output_suffixes = PICTURE_SUFFIXES + ANIMATION_SUFFIXES
    samples_noise = False
    preview_items = 32
    preview_samples = 64

    def read(self, path: Path, *, invert: bool, find_object: bool = False) -> NamedItems:
        """Read a picture, or all pictures of a folder; in a folder, some may be unreadable."""
        if path.suffix.lower() in TABLE_SUFFIXES:
            raise UsageError(f"{path}: {self.spec.name} is of images; give pictures")
        fitting = Fitting.of(self.spec, invert=invert, find_object=find_object)
        pictures, hints = read_pictures(path, self.spec, self.require_count, fitting)
        pixels = torch.stack([picture.pixels for picture in pictures.values()])
        return NamedItems(list(pictures), to_unit_interval(pixels), hints)

    def require_count(self, count: int, path: Path) -> None:
        """Check that so many pictures fit into one grid."""
        if count > MAX_PICTURES:
            raise UsageError(f"{path} has {count:,} pictures: a grid takes up to {MAX_PICTURES:,}")

    def plan_sheet(
        self, count: int, *, page: int, group: int, scale: int | None, gap: int | None
    ) -> Sheet | None:
        """The items of one page."""
        return plan_sheet(self.spec.shape, count, page=page, group=group, scale=scale, gap=gap)

    def require_writable(
        self, count: int, path: Writable, *, columns: int, scale: int | None, frame: Frame = BARE
    ) -> None:
        """Check the size of the grid, or of all frames of an animation."""
        shown = 1 if is_animation(path) else scale
        lay_out((count, *self.spec.shape), columns=columns, scale=shown, frame=frame)

    def write(
        self,
        items: ArrayLike,
        path: Writable,
        *,
        columns: int,
        scale: int | None = None,
        frame: Frame = BARE,
    ) -> None:
        """Write a grid as PNG or JPEG."""
        write_picture(make_grid(items, columns=columns, scale=scale, frame=frame), path)

    def write_reconstructions(
        self,
        originals: ArrayLike,
        reconstructions: ArrayLike,
        path: Writable,
        *,
        columns: int,
        scale: int | None = None,
        frame: Frame = BARE,
        texts: Mapping[str, Sequence[str]] = NO_TEXTS,  # noqa: ARG002  of a table
    ) -> None:
        """Write each original next to its reconstruction."""
        pairs = interleave(originals, reconstructions)
        self.write(pairs, path, columns=columns, scale=scale, frame=frame)

    def write_traversal(
        self,
        tiles: ArrayLike,
        dims: Sequence[int] | None,  # noqa: ARG002  a picture has no place for it
        offsets: Sequence[float],
        path: Writable,
        scale: int | None,
        frame: Frame = BARE,
    ) -> None:
        """Write one row per dimension; an animation shows one offset per frame."""
        images = np.asarray(tiles)
        if is_animation(path):
            columns = math.ceil(math.sqrt(len(images)))
            frames = append_reverse(images.swapaxes(0, 1))
            write_animation(frames, path, columns=columns, scale=scale, frame=frame)
        else:
            flat = images.reshape(-1, *images.shape[2:])
            self.write(flat, path, columns=len(offsets), scale=scale, frame=frame)

    def write_interpolation(
        self,
        paths: ArrayLike,
        path: Writable,
        scale: int | None,
        frame: Frame = BARE,
        originals: ArrayLike | None = None,
    ) -> None:
        """Write one row per path; an animation shows them one after another, and then reversed."""
        images = np.asarray(paths)
        if is_animation(path):
            flat = images[:, :-1].reshape(-1, *images.shape[2:])  # paths share their ends
            frames = append_reverse(np.concatenate([flat, images[-1, -1:]])[:, None])
            write_animation(frames, path, columns=1, scale=scale, frame=frame)
        else:
            if originals is not None:
                ends = np.asarray(originals)[:, None]
                images = np.concatenate([ends[:-1], images, ends[1:]], 1)
            self._write_rows(images, path, scale, frame)

    def write_grid(
        self,
        items: ArrayLike,
        index: Mapping[str, ArrayLike],  # noqa: ARG002  a picture has no place for it
        path: Writable,
        scale: int | None,
        frame: Frame = BARE,
    ) -> None:
        """Write the grid as PNG or JPEG."""
        images = np.asarray(items)
        if is_animation(path):
            raise UsageError(f"--output {path}: end the name with .png")
        self._write_rows(images, path, scale, frame)

    def _write_rows(
        self, images: np.ndarray, path: Writable, scale: int | None, frame: Frame
    ) -> None:
        flat = images.reshape(-1, *images.shape[2:])
        self.write(flat, path, columns=images.shape[1], scale=scale, frame=frame)

    def to_bytes(self, item: ArrayLike) -> bytes:
        """An image as uint8 `(H, W, C)`, rounded as in a PNG."""
        return to_pixels(np.asarray(item).reshape(self.spec.shape)).tobytes()

    def describe(self) -> str:
        """For example `images of 28x28 grey`."""
        channels, height, width = self.spec.shape
        return f"images of {height}x{width}{COLOUR_NAMES.get(channels, '')}"

    def write_examples(
        self,
        train: Split,
        test: Split,  # noqa: ARG002  the examples are of the training set
        output: Writable | None,
        *,
        columns: int,
        scale: int | None,
        frame: Frame = BARE,
    ) -> str:
        """Write examples of each class, and return the path."""
        path = output or Path(f"data{self.suffix}")
        if is_animation(path):
            raise UsageError(f"--output {path}: end the name with .png")
        classes = self.spec.classes
        examples = take_examples(train, len(classes), columns)
        grid = make_grid(examples, columns=columns, scale=scale, labels=classes, frame=frame)
        write_picture(grid, path)
        return str(path)

    def write_item(self, item: Tensor, path: Writable) -> None:
        """Write one image as PNG, without enlarging it."""
        write_picture(to_picture(to_pixels(to_unit_interval(item))), path)

    def summarize(self, splits: Mapping[str, Split]) -> Summary:
        """The number of images of each class in each part."""
        classes, parts = self.spec.classes, splits.values()
        counts = [part.labels.bincount(minlength=len(classes)).tolist() for part in parts]
        rows = list(zip(classes, *counts, strict=True)) if classes else []
        records = [dict(zip(("name", *splits), row, strict=True)) for row in rows]
        return Summary(("class", *splits), [*rows, ("all", *map(len, parts))], "classes", records)


def is_animation(path: Writable) -> bool:
    """Whether the file is an animation."""
    return path.suffix.lower() in ANIMATION_SUFFIXES
