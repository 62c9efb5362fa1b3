"""Tar files in the form of WebDataset: members `KEY.jpg` and `KEY.cls`, one after another.

The members whose names are the same up to the first point are one item. Its picture is known by
its ending, and its class is the number or the text in `KEY.cls`, or what `KEY.json` has under
`label` or `class` (https://github.com/webdataset/webdataset#the-webdataset-format).

Nothing is ever unpacked: names and links in a tar of unknown origin mean nothing, because only the
bytes of members are read.
"""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any, final

import numpy as np

from vae_cli.data.picture_files import (
    MAX_BYTES,
    PackedPicture,
    missing_decoders,
    parse_header,
)
from vae_cli.data.shard_files import ShardFile, read_at
from vae_cli.data.shard_index import ShardIndex, make_index
from vae_cli.data.source import PICTURE_SUFFIXES
from vae_cli.errors import UsageError, list_some

NAME = re.compile(r"(?P<key>(?:.*/)?[^/.]+)\.(?P<ending>[^/]+)")
LABEL_KEYS = ("label", "class")
MAX_LABEL = 2**20  # bytes of a member with a class
HEADERS = 16  # pictures of a shard whose headers are kept, to choose size and channels
BLOCK = 512  # bytes, of which a tar consists
REMEDY = "copy it again, or leave it out"
MAX_NAMED = 5  # endings in one message
WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


@final
@dataclass
class Group:
    """The members of one key.

    Attributes:
        picture: the one that is the item; None if there is none yet.
        label: its class; None if there is none.
    """

    picture: tarfile.TarInfo | None = None
    label: str | None = None


@final
@dataclass
class Contents:
    """What was found in a tar.

    Attributes:
        groups: the members by their key, in the order of the file.
        left_out: the number of pictures that are no items, by the reason.
        endings: of members that are neither pictures nor classes.
    """

    groups: dict[str, Group] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)


def index_tar(opened: BufferedReader, file: ShardFile) -> ShardIndex:
    """The index of a tar.

    Raises:
        UsageError: it is damaged or cut short, or holds no pictures.
    """
    found = _scan(opened, file)
    items = [group for group in found.groups.values() if group.picture is not None]
    members = [group.picture for group in items if group.picture is not None]
    if not members:
        held = list_some([f".{ending}" for ending in found.endings], MAX_NAMED) or "nothing"
        reasons = [f"{count:,} {reason}" for reason, count in found.left_out.items()]
        raise UsageError("; ".join([f"no pictures in {file.path}: it holds {held}", *reasons]))
    step = max(1, len(members) // HEADERS)
    pictures = (
        PackedPicture(one.name, read_at(opened, one.offset_data, one.size))
        for one in members[::step][:HEADERS]
    )
    return make_index(
        file,
        [f"/{member.name}" for member in members],
        {
            "offset": np.array([member.offset_data for member in members], np.int64),
            "size": np.array([member.size for member in members], np.int64),
        },
        labels=[group.label for group in items],
        headers=[header for one in pictures if (header := parse_header(one))],
        left_out=dict(found.left_out),
    )


def _scan(opened: BufferedReader, file: ShardFile) -> Contents:
    """Read the headers of all members.

    Raises:
        UsageError: the file is no tar, is damaged or cut short.
    """
    found, last, end = Contents(), "", opened.seek(0, 2)
    opened.seek(0)
    missing = missing_decoders()
    try:
        with tarfile.open(fileobj=opened, mode="r:") as tar:
            while (member := tar.next()) is not None:
                last = member.name
                tar.members.clear()  # type: ignore[attr-defined]  # or else it keeps all of them
                if member.offset_data + member.size > end:
                    raise tarfile.ReadError("it ends within a member")
                _sort_member(member, found, opened, missing)
            rest = read_at(opened, tar.offset, BLOCK)
    except (tarfile.TarError, EOFError, ValueError) as error:
        where = f" after {last}" if last else ""
        what = "is cut short or damaged" if last else "is no tar file, or a damaged one"
        raise UsageError(f"{file.path} {what}{where}: {REMEDY}") from error
    if rest != bytes(BLOCK):  # which ends every tar; the module takes what is cut for the end
        raise UsageError(f"{file.path} is cut short or damaged after {last}: {REMEDY}")
    return found


def _sort_member(
    member: tarfile.TarInfo, found: Contents, opened: BufferedReader, missing: dict[str, str]
) -> None:
    """Put a member to the others of its key."""
    parts = NAME.fullmatch(member.name)
    if parts is None or member.isdir():
        return
    key, ending = parts["key"], parts["ending"].lower()
    suffix = f".{ending.rpartition('.')[2]}"
    group = found.groups.setdefault(key, Group())
    if not member.isreg() or member.issparse():
        found.left_out["links and other special members"] += 1
    elif suffix in missing:
        found.left_out[f"{suffix} pictures ({missing[suffix]})"] += 1
    elif suffix in PICTURE_SUFFIXES:
        _add_picture(member, group, found, is_plain=f".{ending}" == suffix)
    elif ending in {"cls", "json"} and member.size <= MAX_LABEL:
        content = read_at(opened, member.offset_data, member.size)
        label = read_label(content) if ending == "cls" else find_label(content)
        group.label = label if group.label is None or ending == "cls" else group.label
    else:
        found.endings[ending] += 1


def _add_picture(member: tarfile.TarInfo, group: Group, found: Contents, *, is_plain: bool) -> None:
    """Make a picture the item of its key: the first one, or else one with a plain ending."""
    if not 0 < member.size <= MAX_BYTES:
        found.left_out["empty or too large pictures"] += 1
        return
    if group.picture is not None:
        found.left_out["second pictures of a key"] += 1
        known = NAME.fullmatch(group.picture.name)
        if not is_plain or known is None or "." not in known["ending"]:
            return
    group.picture = member


def read_label(content: bytes) -> str | None:
    """The class in a member `cls`: a number in its shortest form, or a text."""
    text = content.decode(errors="backslashreplace").strip()
    return str(int(text)) if WHOLE.fullmatch(text) else text or None


def find_label(content: bytes) -> str | None:
    """The class that a JSON has under `label` or `class`; None if it has none."""
    try:
        known: Any = json.loads(content)
    except (ValueError, RecursionError):
        return None
    values = [known.get(key) for key in LABEL_KEYS] if isinstance(known, dict) else []
    value = next((value for value in values if value is not None), None)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_label = isinstance(value, int | str) and not isinstance(value, bool)
    return str(value) or None if is_label else None


@final
class OpenTar:
    """A tar whose pictures can be read at any place, by several threads.

    Args:
        opened: the file.
        index: of its pictures.
    """

    def __init__(self, opened: BufferedReader, index: ShardIndex) -> None:
        self.opened = opened
        self.offsets, self.sizes = index.numbers("offset"), index.numbers("size")

    def contents(self, places: Sequence[int]) -> list[bytes]:
        """The bytes of some pictures.

        Raises:
            OSError: they cannot be read.
        """
        return [
            read_at(self.opened, int(self.offsets[place]), int(self.sizes[place]))
            for place in places
        ]

    def close(self) -> None:
        """Close the file."""
        self.opened.close()
