"""The picture files of a folder: which ones there are, and decoding them in threads.

The cache keeps these facts about decoded pictures:

damaged   why the contents of pictures could not be decoded, by row
unread    why the system could not read pictures, by row; it may be able to later
hashes    of the pixels of each picture
values    the smallest and the largest value in opaque pictures, by the value that is white in them
outside   how many pictures have values beyond the range
pages     how many pictures have more than one page, and how many pages of them are left out
"""

import dataclasses
import itertools
import os
import stat
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import numpy as np
import torch

from vae_cli.data.cache import Unfinished
from vae_cli.data.dataset import Frames, Progress, Spec
from vae_cli.data.held_out import hash_to_unit_interval
from vae_cli.data.picture import Fitting, Picture, decode_pages, decode_picture, measure_values
from vae_cli.data.picture_files import (
    UnreadPictureError,
    count_pages,
    decoders_silenced,
    missing_decoders,
)
from vae_cli.data.source import PICTURE_SUFFIXES
from vae_cli.data.value_range import Limits, OutsideRangeError, Values, join_values
from vae_cli.errors import UsageError

Part = Literal["train", "validation", "test"]

PART_NAMES: dict[str, Part] = {  # of top-level folders; upper and lower case are the same
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
EARLIER_PART_NAMES: dict[str, Part] = {  # of version 1 of the rules; the case has to fit
    "train": "train",
    **dict.fromkeys(("test", "val", "valid", "validation"), "test"),
}
EARLIER_SUFFIXES = (  # of version 1 of the rules
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp"),
    *(".gif", ".tif", ".tiff", ".ppm", ".pgm"),
)
OTHER_SUFFIXES = (  # of pictures that are never read
    *(".svg", ".psd", ".xcf", ".tga", ".ico", ".jxl", ".exr", ".hdr", ".dcm", ".pdf", ".eps"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
)
CHECKPOINTS = {"best.safetensors", "last.safetensors"}  # in the folder of a run
MAX_NAMED = 5  # paths in one message
NO_PIXELS = torch.empty(0, dtype=torch.uint8)
NO_FACTS: dict[str, Any] = {  # the facts before any picture is decoded; all rows are unread
    **{"damaged": {}, "unread": None, "hashes": []},
    **{"values": {}, "outside": 0, "pages": [0, 0]},
}
MASKS = {"255": [0, 1]}  # the values of pictures that are masks


@final
@dataclass(frozen=True)
class PictureFile:
    """A picture file in the folder.

    Attributes:
        name: the path relative to the folder, with `/` between its parts.
        size: in bytes.
        changed: times of the last change of its contents and of any fact about it, in nanoseconds.
            The second one, which a copy or `touch` cannot set, tells that another file has come in
            its place with the first one's size and time.
        part: in which of the folder's own parts it is; None if it has none.
        folders: its sub-folders, from the top, without that of its part.
        pages: the number of its pages or frames that are items.
    """

    name: str
    _: KW_ONLY
    size: int
    changed: tuple[int, int]
    part: Part | None = None
    folders: tuple[str, ...] = ()
    pages: int = 1

    @property
    def item_names(self) -> list[str]:
        """The names of its items."""
        return name_pages(self.name, self.pages)


class Scan(NamedTuple):
    """What was found in a folder.

    Attributes:
        files: the pictures, sorted by name; at least one.
        warnings: sentences that count what is left out.
    """

    files: list[PictureFile]
    warnings: list[str]


def scan_pictures(folder: Path, version: int = 2) -> Scan:
    """Find the picture files in a folder and its sub-folders, by suffix, without hidden ones.

    Args:
        folder: where to look. Links to other folders are followed, and no folder is read twice.
        version: of the rules. With 1, as in runs of earlier versions, links to folders are not
            followed, fewer formats are read, and the parts have fewer names.

    Raises:
        UsageError: there is none, or the folder cannot be read.
    """
    missing = missing_decoders()
    known = PICTURE_SUFFIXES if version > 1 else EARLIER_SUFFIXES
    suffixes = [suffix for suffix in known if suffix not in missing]
    files: list[PictureFile] = []
    failures: list[OSError] = []
    others: Counter[str] = Counter()
    for path in _find_files(folder, failures, version):
        suffix = path.suffix.lower()
        if suffix in suffixes:
            try:
                facts = path.stat()
            except OSError as error:
                failures.append(error)
                continue
            if stat.S_ISREG(facts.st_mode):
                relative = path.relative_to(folder).as_posix()
                times = facts.st_mtime_ns, facts.st_ctime_ns
                files.append(PictureFile(relative, size=facts.st_size, changed=times))
        elif version > 1 and (suffix in missing or suffix in OTHER_SUFFIXES):
            others[suffix] += 1
    explanations = (_explain_failures(folder, failures), _explain_others(folder, others, missing))
    found = [sentence for sentence in explanations if sentence]
    if not files:
        looked = f"no pictures in {folder}: looked for {', '.join(suffixes)}"
        raise UsageError("; ".join([looked, *found]))
    ordered = sorted(files, key=lambda file: file.name)
    return Scan(_with_parts(ordered, version), found)


def _find_files(folder: Path, failures: list[OSError], version: int) -> Iterator[Path]:
    """All files in a folder and its sub-folders, without hidden ones.

    The folder of a run is left out: where the data are the current folder, the pictures that a
    training writes would otherwise be data of the next.
    Linked folders come after all others, so that a picture in the folder itself has no second
    name. No folder is read twice, so that a link to a folder above it ends.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        start = waiting.pop(0)
        if _is_known(start, seen):
            continue
        for top, folders, names in os.walk(start, onerror=failures.append):
            here = Path(top)
            shown = [here / name for name in sorted(folders) if not name.startswith(".")]
            if version > 1 and here != folder and not CHECKPOINTS.isdisjoint(names):
                folders.clear()
                continue
            if version > 1:
                waiting += [path for path in shown if path.is_symlink()]
            failures += [error for name in names if (error := _explain_link(here / name))]
            folders[:] = [p.name for p in shown if not (p.is_symlink() or _is_known(p, seen))]
            yield from (here / name for name in names if not name.startswith("."))


def _explain_link(path: Path) -> OSError | None:
    """Why a link that may have led to a folder leads nowhere, as it has no extension."""
    if path.suffix or not path.is_symlink():
        return None
    try:
        path.stat()
    except OSError as error:
        return error
    return None


def _is_known(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether a folder is in a set of folders, to which it is added."""
    try:
        facts = folder.stat()
    except OSError:
        return False  # it cannot be read, which the walk finds out
    identity = facts.st_dev, facts.st_ino
    is_known = identity in seen
    seen.add(identity)
    return is_known


def _with_parts(files: list[PictureFile], version: int) -> list[PictureFile]:
    """The files with their part and their other folders.

    A folder called `train` among others is a part only if one is called `test` or `val`; it may as
    well be a class.
    """
    folders = [tuple(file.name.split("/")[:-1]) for file in files]
    parts = [_part_of(names[0], version) if names else None for names in folders]
    if version > 1 and not {"test", "validation"} & set(parts) and set(parts) != {"train"}:
        parts = [None] * len(files)
    return [
        replace(file, part=part, folders=names[1:] if part else names)
        for file, part, names in zip(files, parts, folders, strict=True)
    ]


def _part_of(name: str, version: int) -> Part | None:
    if version == 1:
        return EARLIER_PART_NAMES.get(name)
    return PART_NAMES.get(name.casefold())


def explain_left_out(folder: Path, count: int, reasons: Sequence[str], where: str) -> str:
    """One sentence about the pictures of a folder that are left out.

    Args:
        folder: the folder.
        count: the number of pictures in it.
        reasons: why some of them are left out, in their order; at least one.
        where: the end of the sentence, which says where the reasons are.

    Raises:
        UsageError: they are all of them.
    """
    if len(reasons) == count:
        raise UsageError(
            f"none of the {count:,} pictures in {folder} can be read; the first: {reasons[0]}"
        )
    are = "is" if len(reasons) == 1 else "are"
    return f"{len(reasons):,} of {count:,} pictures cannot be read and {are} left out; {where}"


def name_pages(name: str, pages: int) -> list[str]:
    """The name of each page of a picture: its own, or with the number of the page, from 0."""
    return [name] if pages == 1 else [f"{name}[{page}]" for page in range(pages)]


def explain_pages(files: int, left_out: int, source: object) -> str:
    """One sentence about pages and frames that are left out."""
    pictures, have = ("1 picture", "has") if files == 1 else (f"{files:,} pictures", "have")
    pages = "1 of them is" if left_out == 1 else f"{left_out:,} of them are"
    return f"{source}: {pictures} {have} several pages or frames, and {pages} left out"


def _explain_failures(folder: Path, failures: list[OSError]) -> str:
    """One sentence that counts and names the paths that cannot be read.

    Raises:
        UsageError: the folder itself is one of them.
    """
    reasons = {os.path.relpath(error.filename, folder): error.strerror for error in failures}
    if "." in reasons:
        raise UsageError(f"cannot read {folder}: {reasons['.']}")
    if not reasons:
        return ""
    named = [f"{name} ({reasons[name]})" for name in sorted(reasons)]
    more = [f"{len(named) - MAX_NAMED:,} more"] if len(named) > MAX_NAMED else []
    paths = "1 path" if len(named) == 1 else f"{len(named):,} paths"
    return (
        f"{paths} in {folder} cannot be read, and the pictures there are left out: "
        f"{', '.join(named[:MAX_NAMED] + more)}"
    )


def _explain_others(folder: Path, counts: Counter[str], missing: dict[str, str]) -> str:
    """One sentence that counts the pictures of other formats; empty if there are none."""
    if not counts:
        return ""
    total = counts.total()
    files = "1 picture is" if total == 1 else f"{total:,} pictures are"
    listed = ", ".join(
        f"{count:,} {suffix} ({missing.get(suffix, 'convert to PNG')})"
        for suffix, count in counts.most_common()
    )
    return f"{files} in {folder} in formats that are not read, and left out: {listed}"


def decode_files(
    folder: Path,
    files: Sequence[PictureFile],
    *,
    pixels: np.ndarray,
    spec: Spec,
    known: Any,
    progress: Progress,
) -> Any:
    """Decode those pictures into their rows that are still unread.

    Args:
        folder: where the files are.
        files: all of them; each has one row, or one for each of its pages.
        pixels: uint8 `(N, C, H, W)`.
        spec: the shape, the background, the cropping, the range and the frames.
        known: the facts about the pictures that have been decoded before.
        progress: called with the number of files decoded so far and the total.

    Returns:
        The facts about all pictures.

    Raises:
        OutsideRangeError: there is no range, and a value is beyond black or white.
    """
    unread: dict[str, str] = {}
    damaged, hashes = dict(known["damaged"]), list(known["hashes"]) or [0.0] * len(pixels)
    todo, found = _find_unread(files, known["unread"]), list[Picture]()

    def decode(place: int) -> None:
        (file, left), failures = todo[place], damaged
        try:
            for picture in _decode_items(folder / file.name, spec):
                if not left:
                    break
                row = left.pop(0)
                pixels[row] = picture.pixels.numpy()
                hashes[row] = hash_to_unit_interval(pixels[row].tobytes())
                found.append(dataclasses.replace(picture, pixels=NO_PIXELS))
            reason = f"{folder / file.name} has fewer pages than it had"
        except OutsideRangeError:
            raise  # it concerns all pictures
        except UsageError as error:
            failures = unread if isinstance(error, UnreadPictureError) else damaged
            reason = str(error)
        failures.update({str(row): reason for row in left})

    map_in_threads(decode, len(todo), progress)
    facts = {"damaged": damaged, "unread": unread, "hashes": hashes}
    facts |= summarize_values(found, known, spec.range) | summarize_pages(found, known, spec)
    return Unfinished(facts) if unread else facts


def _find_unread(
    files: Sequence[PictureFile], unread: Container[str] | None
) -> list[tuple[PictureFile, list[int]]]:
    """The files of which a row is unread, and all rows of each; None means that all are unread."""
    ends = itertools.accumulate(file.pages for file in files)
    rows = [list(range(end - file.pages, end)) for file, end in zip(files, ends, strict=True)]
    return [
        (file, own)
        for file, own in zip(files, rows, strict=True)
        if unread is None or any(str(row) in unread for row in own)
    ]


def _decode_items(path: Path, spec: Spec) -> Iterator[Picture]:
    """The first page of a picture, or all of them."""
    if spec.frames == "all":
        yield from decode_pages(path, Fitting.of(spec))
    else:
        yield decode_picture(path, Fitting.of(spec))


def count_all_pages(paths: Sequence[Path], progress: Progress) -> list[int]:
    """The number of pages of each picture."""
    counts = [1] * len(paths)

    def count(number: int) -> None:
        counts[number] = count_pages(paths[number])

    map_in_threads(count, len(paths), progress)
    return counts


def measure_files(paths: Sequence[Path], frames: Frames, progress: Progress) -> list[Values]:
    """The values of the pictures that are opaque and can be read.

    Raises:
        OutsideRangeError: a value is no finite number.
    """
    found: list[Values] = []

    def measure(number: int) -> None:
        try:
            values = measure_values(paths[number], all_pages=frames == "all")
        except OutsideRangeError:
            raise
        except UsageError:
            return  # it cannot be read, and is left out when it is decoded
        found.extend([values] if values else [])

    map_in_threads(measure, len(paths), progress)
    return found


def summarize_values(
    pictures: Sequence[Picture], known: Any, limits: Limits | None
) -> dict[str, Any]:
    """The facts `values` and `outside` of `_decode`, together with those that are known."""
    values = {white: Values(*pair) for white, pair in known["values"].items()}
    outside = known["outside"]
    for picture in pictures:
        if picture.values:
            white = f"{picture.white:g}"
            values[white] = join_values([picture.values, values.get(white, picture.values)])
            outside += limits is not None and not picture.values.lie_in(limits)
    return {"values": {white: list(pair) for white, pair in values.items()}, "outside": outside}


def summarize_pages(pictures: Sequence[Picture], known: Any, spec: Spec) -> dict[str, list[int]]:
    """The fact `pages` of `decode_files`, together with what is known."""
    left_out = [one.pages - 1 for one in pictures if one.pages > 1 and spec.frames == "first"]
    files, pages = known["pages"]
    return {"pages": [files + len(left_out), pages + sum(left_out)]}


def map_in_threads(work: Callable[[int], None], count: int, progress: Progress) -> None:
    """Call `work` with each number below `count`, in as many threads as there are processors."""
    with decoders_silenced(), ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done, _ in enumerate(pool.map(work, range(count)), 1):
                progress(done, count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
