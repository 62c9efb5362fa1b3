"""The size and the channels that suit the pictures of a folder."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from vae_cli.data.decoding import read_header
from vae_cli.data.picture import GREY_MODES

MAX_HEADERS = 256  # pictures whose headers are read to choose size and channels
SIZES = (16, 28, 32, 64)  # pixels; a larger size is for the user to choose


def derive_size(paths: Sequence[Path]) -> tuple[int, int]:
    """A size in pixels and a number of channels that suit some pictures.

    They are chosen from the headers of at most 256 pictures. The size is the largest of 16, 28, 32
    and 64 that half of them can fill. If all have the same edge, and it is between 16 and 64, that
    edge is the size. The channels are grey only if all pictures are grey.
    """
    step = max(1, len(paths) // MAX_HEADERS)
    headers = [header for path in paths[::step] if (header := read_header(path))]
    if not headers:
        return SIZES[-1], 3
    edges = [min(header.width, header.height) for header in headers]
    channels = 1 if all(header.mode in GREY_MODES for header in headers) else 3
    if len(set(edges)) == 1 and SIZES[0] <= edges[0] <= SIZES[-1]:
        return edges[0], channels
    filled = [size for size in SIZES if size <= median(edges)]
    return filled[-1] if filled else SIZES[0], channels
