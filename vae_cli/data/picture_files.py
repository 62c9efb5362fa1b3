"""Opening a picture file of unknown origin with Pillow, within limits.

Only the documented formats are opened: Pillow knows others, and one of them (EPS) starts a program.
Whatever Pillow raises about a file is that file's failure, and one line.
"""

import functools
import importlib
import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, final

from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError, features
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PREFIXES,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    ImageFileDirectory_v2,
)

from vae_cli.errors import UsageError
from vae_cli.files import open_file, read_file

HEADER_BYTES = 8
NUMBERS = {1: "whole numbers", 2: "whole numbers with a sign", 3: "floats", 5: "complex numbers"}
FORMATS = (  # Pillow's PPM is also PGM and PBM
    *("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"),
    *("AVIF", "JPEG2000"),
)
HEIF = "HEIF"  # the format that pillow-heif adds
FEATURES = {"avif": (".avif",), "jpg_2000": (".jp2", ".j2k")}  # that a Pillow may lack
MAX_BYTES = 100 * 2**20  # of a picture file
MAX_PIXELS = 100_000_000  # of a decoded picture: Pillow needs 400 MB for them in RGB
MAX_SIDE = 1_000_000  # pixels; the filter that resizes a picture takes 48 bytes for each of them
MAX_TEXT = 32 * 2**20  # bytes of a text or a colour profile in a PNG
LARGE_BYTES = 16 * 2**20  # of a file, above which pictures are decoded one at a time
LARGE_PIXELS = 16_000_000  # the same, of a decoded picture

SUBFILE_TYPE, SMALLER_COPY, MASK = 254, 1, 4  # a tag of a TIFF, and two of its bits
ORIENTATIONS = {  # by the value of the EXIF tag; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = tuple(ORIENTATIONS[value] for value in (5, 6, 7, 8))

_silence = threading.RLock()  # what is silenced belongs to the whole process
_large_picture = threading.RLock()  # held by the thread that decodes a large picture


class UnreadPictureError(UsageError):
    """The system could not deliver a picture now, which says nothing about its contents."""


@final
@dataclass(frozen=True)
class PackedPicture:
    """A picture file that is a part of another file, such as a member of a tar.

    Attributes:
        name: for messages.
        content: its bytes.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


PictureSource = Path | PackedPicture  # a picture file that lies in a folder, or in another file


@functools.cache
def known_formats() -> tuple[str, ...]:
    """The formats that are opened; HEIF is one of them if pillow-heif is installed."""
    try:
        plugin = importlib.import_module("pillow_heif")
    except ImportError:
        return FORMATS
    plugin.register_heif_opener()
    return (*FORMATS, HEIF)


def missing_decoders() -> dict[str, str]:
    """The suffixes of pictures that could be read, and what has to be installed for it."""
    missing = {
        suffix: "pip install -U pillow"
        for feature, suffixes in FEATURES.items()
        if not features.check(feature)
        for suffix in suffixes
    }
    if HEIF not in known_formats():
        missing |= dict.fromkeys((".heic", ".heif"), "pip install pillow-heif")
    return missing


@contextmanager
def open_picture(picture: PictureSource, sufficient: tuple[int, int]) -> Iterator[Image.Image]:
    """Decode the first frame of a picture; errors inside the context are explained as well.

    Large pictures are decoded one at a time over all threads, because each may need a gigabyte.

    Args:
        picture: the file.
        sufficient: width and height. A JPEG may be decoded at a half, a quarter or an eighth of its
            size if that is not smaller.

    Raises:
        UnreadPictureError: the file is missing or cannot be read now, or memory is full.
        UsageError: the file is empty, too large, damaged or not a picture.
    """
    with ExitStack() as stack:
        try:
            if _size(picture) > LARGE_BYTES:
                stack.enter_context(_large_picture)
            content = _read(picture)
        except FileNotFoundError as error:
            raise UnreadPictureError(f"{picture} does not exist") from error
        except OSError as error:
            raise UnreadPictureError(f"cannot read {picture}: {error.strerror or error}") from error
        with _explained(picture), Image.open(io.BytesIO(content), formats=known_formats()) as image:
            _require_size(image)
            image.draft(None, sufficient)
            if image.width * image.height > LARGE_PIXELS:
                stack.enter_context(_large_picture)
            image.load()
            yield image


@contextmanager
def open_page(image: Image.Image, number: int) -> Iterator[Image.Image]:
    """Another page of a picture that is open, decoded."""
    image.seek(number)
    _require_size(image)
    with _large_picture if image.width * image.height > LARGE_PIXELS else nullcontext():
        image.load()
        yield image


def page_numbers(image: Image.Image) -> list[int]:
    """The numbers of the pages or frames of a picture; the first alone if it has no others.

    The smaller copies and masks in a TIFF are no pages, and neither are the other pictures in a
    JPEG, such as its preview.
    """
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return [0]
    numbers = list(range(image.n_frames))  # type: ignore[attr-defined]
    if image.format == "TIFF":
        numbers = [number for number in numbers if number == 0 or _is_page(image, number)]
    return numbers


def _is_page(image: Image.Image, number: int) -> bool:
    image.seek(number)
    kind = image.tag_v2.get(SUBFILE_TYPE, 0)  # type: ignore[attr-defined]
    return not (isinstance(kind, int) and kind & (SMALLER_COPY | MASK))


def count_pages(path: Path) -> int:
    """The number of pages or frames of a picture file; 1 if that cannot be found out."""
    try:
        with (
            open_file(path) as file,
            _explained(path),
            Image.open(file, formats=known_formats()) as image,
        ):
            return len(page_numbers(image))
    except (OSError, UsageError):
        return 1  # decoding it says why


class Header(NamedTuple):
    """What a picture file says about itself.

    Attributes:
        width: as displayed, in pixels.
        height: as displayed, in pixels.
        mode: Pillow's word for its channels and their type.
        is_transparent: whether pixels can be transparent.
    """

    width: int
    height: int
    mode: str
    is_transparent: bool


def read_header(picture: PictureSource) -> Header | None:
    """What `parse_header` finds, while Pillow is kept off the terminal."""
    with decoders_silenced():
        return parse_header(picture)


def parse_header(picture: PictureSource) -> Header | None:
    """What a picture file says about itself; None if it has no readable header."""
    try:
        with (
            _open(picture) as file,
            _explained(picture),
            Image.open(file, formats=known_formats()) as image,
        ):
            rotated = orientation_of(image) in SIDEWAYS and image.format != "TIFF"
            width, height = image.size[::-1] if rotated else image.size
            return Header(width, height, image.mode, image.has_transparency_data)
    except (OSError, UsageError):
        return None


def orientation_of(image: Image.Image) -> Image.Transpose | None:
    """How to turn a picture so that it is upright; None if it is.

    Only this one tag of the EXIF data is read. Pillow's `exif_transpose` writes the others again,
    and fails at those that it cannot write. For a TIFF, Pillow turns the pixels (and, before they
    are decoded, has swapped the size) itself.
    """
    value = image.getexif().get(ExifTags.Base.Orientation)
    return ORIENTATIONS.get(value) if isinstance(value, int) else None


@contextmanager
def decoders_silenced() -> Iterator[None]:
    """Keep off the terminal what Pillow, its loggers and libtiff say about pictures.

    Pillow warns about sizes, which are checked here, and about repaired damage; libtiff writes to
    file descriptor 2. And Pillow takes a PNG for damaged if its colour profile, or a text such as
    the prompt of a generator, has more than a mebibyte. Warning filters, loggers, that descriptor
    and that limit belong to the whole process, so this is used around all threads and not inside
    one.
    """
    logger = logging.getLogger("PIL")
    with _silence, warnings.catch_warnings(action="ignore"), _stderr_discarded():
        level, limit = logger.level, PngImagePlugin.MAX_TEXT_CHUNK
        logger.setLevel(logging.CRITICAL + 1)
        PngImagePlugin.MAX_TEXT_CHUNK = max(limit, MAX_TEXT)
        try:
            yield
        finally:
            PngImagePlugin.MAX_TEXT_CHUNK = limit
            logger.setLevel(level)


def silence_pillow() -> None:
    """The same for the rest of the process, for threads that decode as long as a training lasts.

    Descriptor 2 stays open, because the training prints: the few lines that libtiff writes about
    damaged files are seen.
    """
    logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)
    PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, MAX_TEXT)
    warnings.filterwarnings("ignore", module=r"PIL\.")


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    try:
        before = os.dup(2)
    except OSError:  # it is closed already
        yield
        return
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  a device, not a path
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@contextmanager
def _explained(path: PictureSource) -> Iterator[None]:
    """Turn whatever Pillow raises into one line about the file."""
    try:
        yield
    except UsageError:
        raise
    except MemoryError as error:
        raise UnreadPictureError(f"cannot decode {path}: the memory is full") from error
    except Image.DecompressionBombError as error:
        raise UsageError(
            f"{path} has more than {MAX_PIXELS // 10**6} million pixels, or more than "
            f"{MAX_SIDE // 10**6} million on a side: make it smaller first"
        ) from error
    except UnidentifiedImageError as error:
        if kind := describe_tiff(path):
            raise UsageError(
                f"{path} is {kind}, which Pillow cannot read: save it with 8 bits a channel, or "
                "all pictures as one .npy"
            ) from error
        raise UsageError(
            f"{path} is not a picture of a known format (PNG, JPEG, WebP, BMP, GIF, TIFF, PPM, "
            "PGM, AVIF, JPEG 2000, and HEIC with pillow-heif)"
        ) from error
    except Exception as error:
        raise UsageError(f"{path} is damaged or truncated: Pillow cannot decode it") from error


def _require_size(image: Image.Image) -> None:
    """Check the size of a picture before it is decoded.

    Raises:
        DecompressionBombError: it is too large.
    """
    if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise Image.DecompressionBombError


def _open(picture: PictureSource) -> BinaryIO:
    """The bytes of a picture.

    Raises:
        OSError: the file cannot be opened.
        UsageError: it is a pipe, a socket or a device.
    """
    return io.BytesIO(picture.content) if isinstance(picture, PackedPicture) else open_file(picture)


def _read(picture: PictureSource) -> bytes:
    """All bytes of a picture, whose size is known to be within the limit.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(picture, PackedPicture):
        return picture.content
    return read_file(picture, MAX_BYTES)


def _size(picture: PictureSource) -> int:
    """The size in bytes of a picture that may be read.

    Raises:
        OSError: there is no such file.
        UsageError: it is not a regular file, empty or too large.
    """
    if isinstance(picture, PackedPicture):
        size = len(picture.content)
    else:
        facts = picture.stat()
        size = facts.st_size
        if not stat.S_ISREG(facts.st_mode):
            raise UsageError(f"{picture} is not a file")
    if size == 0:
        raise UsageError(f"{picture} is empty")
    if size > MAX_BYTES:
        raise UsageError(f"{picture} is larger than {MAX_BYTES >> 20} MiB: make it smaller first")
    return size


def describe_tiff(picture: PictureSource) -> str:
    """For example `a TIFF of 3 channels of 32-bit floats`; empty if the file is no such TIFF."""
    try:
        with _open(picture) as file:
            header = file.read(HEADER_BYTES)
            if not header.startswith(tuple(PREFIXES)):
                return ""
            directory = ImageFileDirectory_v2(header)
            file.seek(directory.next)
            directory.load(file)
        channels = directory.get(SAMPLESPERPIXEL, 1)
        bits = directory[BITSPERSAMPLE][0]
        numbers = NUMBERS[directory.get(SAMPLEFORMAT, (1,))[0]]
    except Exception:
        return ""
    many = "1 channel" if channels == 1 else f"{channels} channels"
    return f"a TIFF of {many} of {bits}-bit {numbers}"
