"""Reading pictures for a trained model, and hints about those that look unlike its training set."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from vae_cli.data.borders import expected_border
from vae_cli.data.dataset import Spec
from vae_cli.data.decoding import decoders_silenced
from vae_cli.data.picture import (
    BYTE_WHITE,
    HALF_RANGE,
    Fitting,
    Picture,
    decode_pages,
    decode_picture,
)
from vae_cli.data.scan import explain_left_out, explain_pages, name_pages, scan_pictures
from vae_cli.data.value_range import explain_darkness, explain_outside, join_values
from vae_cli.errors import UsageError
from vae_cli.files import is_folder

PAPER = 64  # of 255, by which the edge of a picture may differ from the usual one


class NamedPictures(NamedTuple):
    """Pictures by their names, and hints for the user."""

    pictures: dict[str, Picture]
    hints: list[str]


def read_pictures(
    path: Path, spec: Spec, require_count: Callable[[int, Path], None], fitting: Fitting
) -> NamedPictures:
    """Read a picture, or all pictures of a folder, of which some may be unreadable.

    Args:
        path: of the picture or the folder.
        spec: what the model's items are.
        require_count: refuses a folder of too many pictures.
        fitting: how they become items of the model.

    Raises:
        UsageError: the picture cannot be read, or none of the folder can.
    """
    if is_folder(path):
        pictures, hints = _read_folder(path, spec, require_count, fitting)
    else:
        pictures, hints = _read(path, path.name, spec, fitting), []
    require_count(len(pictures), path)
    hints += find_page_hints(path, spec, pictures.values())
    hints += find_range_hints(path, spec, pictures.values())
    if not fitting.find_object:
        hints += find_border_hints(path, spec, pictures.values(), inverted=fitting.invert)
    return NamedPictures(pictures, hints)


def _read(path: Path, name: str, spec: Spec, fitting: Fitting) -> dict[str, Picture]:
    """The first page of a picture, or all of them if they were items of the training set."""
    with decoders_silenced():
        if spec.frames == "first":
            return {name: decode_picture(path, fitting)}
        pages = list(decode_pages(path, fitting))
    return dict(zip(name_pages(name, len(pages)), pages, strict=True))


def _read_folder(
    folder: Path, spec: Spec, require_count: Callable[[int, Path], None], fitting: Fitting
) -> NamedPictures:
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
        return [f"{when} {opposite}, {but}: {remedy} --invert, or try --fit object"]
    if any(abs(picture.border - expected) > PAPER for picture in pictures):
        return [f"{when} grey, {but}: try --fit object"]
    return []
