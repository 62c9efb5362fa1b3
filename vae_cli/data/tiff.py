"""What a TIFF holds, for the error message about one that Pillow cannot open."""

from pathlib import Path

from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PREFIXES,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    ImageFileDirectory_v2,
)

from vae_cli.files import open_file

HEADER_BYTES = 8
NUMBERS = {1: "whole numbers", 2: "whole numbers with a sign", 3: "floats", 5: "complex numbers"}


def describe_tiff(path: Path) -> str:
    """For example `a TIFF of 3 channels of 32-bit floats`; empty if the file is no such TIFF."""
    try:
        with open_file(path) as file:
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
