"""How the text of a table is stored: the encoding of its characters, and what separates its cells.

Everything that is assumed about the file as a whole is decided here, from its bytes and its first
lines, and said in a note.
"""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vae_cli.errors import UsageError

MARKS = (  # that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ZIP_MARK = b"PK\x03\x04"
HEAD = 4096  # bytes that tell UTF-16 from UTF-8, and texts from other files
CHUNK = 2**20  # bytes that are decoded at a time
DELIMITERS = "\t;|,"  # a comma may be a decimal sign, so it comes last
TEXT_CONTROLS = frozenset(b"\t\n\x0b\x0c\r")
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # how Excel is told


class Encoding(NamedTuple):
    """How bytes become characters.

    Attributes:
        name: for Python.
        note: for the user, if it was assumed; empty if not.
    """

    name: str
    note: str = ""


def find_encoding(file: BinaryIO, path: Path) -> Encoding:
    """The encoding of a text, which is read from its start to its end, but not kept.

    Raises:
        UsageError: it is no text.
    """
    head = file.read(HEAD)
    if head.startswith(ZIP_MARK):
        raise UsageError(f"{path} is an archive or a spreadsheet, not a text: save it as CSV")
    for mark, name in MARKS:
        if head.startswith(mark):
            wide = not name.startswith("utf-8")
            return Encoding(name, f"it is in {name.upper()}" if wide else "")
    for name, high_bytes in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if 2 * high_bytes.count(0) > max(len(high_bytes), 1):
            return Encoding(name, "read as UTF-16, because every other byte is 0")
    file.seek(0)
    if _is_utf8(file):
        return Encoding("utf-8")
    if not all(byte >= ord(" ") or byte in TEXT_CONTROLS for byte in head):
        raise UsageError(f"{path} is not a text: save the table as CSV in UTF-8")
    return Encoding("cp1252", "read as Windows-1252 (Latin-1), because it is not UTF-8")


def _is_utf8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def find_delimiter(lines: Sequence[str], path: Path) -> str:
    """The character between the cells: one of the first line that every other line has too."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    outside_quotes = "".join("".join(lines).split('"')[::2])
    rows = [line for line in outside_quotes.splitlines() if line.strip()]
    found = [char for char in DELIMITERS if any(char in row for row in rows[:1])]
    everywhere = [char for char in found if all(char in row for row in rows)]
    return (everywhere or found or [","])[0]


def read_separator_line(line: str) -> str | None:
    """The delimiter that a first line such as `sep=;` names; None if it is another line."""
    found = SEPARATOR_LINE.fullmatch(line)
    return found[1] if found else None
