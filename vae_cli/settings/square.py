"""The size of square images, which people also type as width and height."""

import re

from vae_cli.errors import UsageError


def spell_square(text: str) -> int | str:
    """The edge of a square that is typed as `64x64`; every other text as it is.

    Raises:
        UsageError: width and height differ.
    """
    sides = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text, re.ASCII)
    if sides is None:
        return text
    width, height = map(int, sides.groups())
    if width != height:
        raise UsageError(
            f"{text} is not square: the images of a folder are, as in {height}x{height}"
        )
    return width
