"""Names of shards, and which files they mean; nothing here reads a file or imports torch.

A data set that is too large for one file is kept in shards: tar files in the form of WebDataset
(https://github.com/webdataset/webdataset), Parquet files with a column of images, as the Hugging
Face hub stores them, or `.npy` files. Its name is a pattern, one file, or their folder, and may be
a URL:

    photos-{000000..000127}.tar     a range, from which no shard may be missing
    photos-{train,test}-*.tar       a list, and a glob
    s3://bucket/photos-{00..31}.tar
"""

import glob
import importlib.util
import itertools
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, final

from vae_cli.errors import UsageError, list_some
from vae_cli.files import exists, is_folder

SHARD_SUFFIXES = (".tar", ".parquet", ".pq", ".npy")
ARRAY_SHARD = ".npy"
PACKED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
MAX_SHARDS = 100_000
MAX_NAMED = 3  # shards in one message
REMOTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
BRACES = re.compile(r"(\[[^\]]*\]|\{[^{}]*\})")  # a set of a glob, or a range or a list
NEEDED = {  # modules that read a URL, besides fsspec
    **dict.fromkeys(("s3", "s3a"), ("s3fs",)),
    **dict.fromkeys(("http", "https"), ("aiohttp",)),
    "hf": ("huggingface_hub",),
}
RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})", re.ASCII)
SPECIAL = re.compile(r"[{}*?\[]")


class Files(Protocol):
    """A file system, as far as names need it."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""

    def are_there(self, paths: Sequence[str]) -> list[bool]:
        """The same of several paths."""

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""

    def find(self, pattern: str) -> list[str]:
        """The paths that a glob means, sorted."""


@final
class LocalFiles:
    """The file system of this machine."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""
        return exists(path)

    def are_there(self, paths: Sequence[str]) -> list[bool]:
        """The same of several paths."""
        return list(map(exists, paths))

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return is_folder(path)

    def find(self, pattern: str) -> list[str]:
        """The paths that a glob means, sorted; hidden ones only if the pattern says so."""
        return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  Path.glob takes no root


def is_remote(name: str) -> bool:
    """Whether a name is a URL, as `s3://bucket/photos.tar` is."""
    return REMOTE.match(name) is not None


def is_pattern(name: str) -> bool:
    """Whether a name has a range, a list or a glob, and is not a URL."""
    return SPECIAL.search(name) is not None and not is_remote(name)


def is_shard(path: str) -> bool:
    """Whether a path has the ending of a shard."""
    return kind_of_shard(path) is not None


def expand_braces(name: str) -> list[str]:
    """All names that ranges and lists stand for, in their order; a glob stays as it is.

    Example:
        >>> expand_braces("{a,b}-{08..10}.tar")
        ['a-08.tar', 'a-09.tar', 'a-10.tar', 'b-08.tar', 'b-09.tar', 'b-10.tar']

    Raises:
        UsageError: braces hold neither, or there are too many names.
    """
    choices = [_choices(part, name) for part in BRACES.split(name)]
    if math.prod(map(len, choices)) > MAX_SHARDS:
        raise UsageError(f"{name} means more than {MAX_SHARDS:,} shards")
    return ["".join(one) for one in itertools.product(*choices)]


def _choices(part: str, name: str) -> list[str]:
    """What a part of a name stands for.

    Raises:
        UsageError: it is in braces that are neither a range nor a list.
    """
    if part.startswith("["):
        return [part]
    inside = part[1:-1]
    if part.startswith("{") and part.endswith("}"):
        if found := RANGE.fullmatch(inside):
            return _range(found[1], found[2], name)
        if "," in inside:
            return inside.split(",")
    if "{" in part or "}" in part:
        shown = part if part.endswith("}") else "a single brace"
        raise UsageError(f"{name}: {shown} is no range: write {{000..127}}, or a list {{a,b}}")
    return [part]


def _range(first: str, last: str, name: str) -> list[str]:
    """The numbers from the first to the last, with zeros before them if one of the two has them.

    Raises:
        UsageError: there are too many.
    """
    start, stop = int(first), int(last)
    if abs(stop - start) >= MAX_SHARDS:
        raise UsageError(f"{name} means more than {MAX_SHARDS:,} shards")
    is_padded = any(text.startswith("0") and len(text) > 1 for text in (first, last))
    width = max(len(first), len(last)) if is_padded else 0
    step = 1 if stop >= start else -1
    return [f"{number:0{width}}" for number in range(start, stop + step, step)]


def find_shards(name: str, files: Files) -> list[str]:
    """The paths of the shards that a name means: those of a range in its order, others sorted.

    Args:
        name: a pattern, a file, or a folder: its shards, or else those in its sub-folders.
        files: where they are.

    Raises:
        UsageError: there are none, one of a range is missing, or they are of several kinds.
    """
    if files.exists(name):  # also a name with a brace or a star in it
        found = _list_folder(name, files) if files.is_folder(name) else [name]
    else:
        found = _find_pattern(name, files)
    require_one_kind(found, name)
    return found


def _list_folder(folder: str, files: Files) -> list[str]:
    start = glob.escape(folder.rstrip("/"))
    for depth in ("*", "*/*"):
        if found := [path for path in files.find(f"{start}/{depth}") if is_shard(path)]:
            return found
    raise UsageError(f"no shards in {folder}: looked for {', '.join(SHARD_SUFFIXES)}")


def _find_pattern(name: str, files: Files) -> list[str]:
    found: dict[str, None] = {}
    missing, names = [], expand_braces(name)
    plain = [one for one in names if not glob.has_magic(one)]
    there = dict(zip(plain, files.are_there(plain), strict=True))
    for one in names:
        paths = [one] * there[one] if one in there else files.find(one)
        missing += [] if paths else [one]
        found.update(dict.fromkeys(paths))
    if not found and len(names) == 1:
        raise UsageError(f"{name}: no file has such a name")
    if missing:
        few = f"{len(names) - len(missing):,} of {len(names):,} are there"
        are = "is" if len(missing) == 1 else "are"
        raise UsageError(f"{name}: {few}: {list_some(missing, MAX_NAMED)} {are} missing")
    return list(found)


def require_one_kind(paths: Sequence[str], name: str) -> None:
    """Check that shards have one ending, and that they can be read at any place.

    Raises:
        UsageError: they do not.
    """
    if packed := [path for path in paths if path.lower().endswith(PACKED_SUFFIXES)]:
        raise UsageError(
            f"{packed[0]} is compressed as a whole, and its pictures cannot be read one by one: "
            "unpack it to a .tar, which is hardly larger"
        )
    kinds = {kind_of_shard(path): path for path in paths}
    if None in kinds:
        raise UsageError(f"{kinds[None]} is no shard: {', '.join(SHARD_SUFFIXES)}")
    if len(kinds) > 1:
        mixed = " and ".join(Path(path).name for path in kinds.values())
        raise UsageError(f"{name} means files of several kinds, such as {mixed}: name one kind")


def kind_of_shard(path: str) -> str | None:
    """The ending of a shard, and one for both endings of Parquet; None if it is no shard."""
    path = path.partition("?")[0] if is_remote(path) else path  # of a URL with a signature
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122  a URL is no Path
    suffix = ".parquet" if suffix == ".pq" else suffix
    return suffix if suffix in SHARD_SUFFIXES else None


def short_name(name: str) -> str:
    """What to call shards: what their names have in common, or that of their folder.

    Example:
        >>> short_name("s3://bucket/photos-{000..127}.tar"), short_name("photos/*.tar")
        ('photos', 'photos')
    """
    for part in reversed(name.rstrip("/").split("/")):
        stem = part.rpartition(".")[0] if is_shard(part) else part
        if common := re.split(r"[{}*?\[\]]", stem)[0].rstrip("-_. "):
            return common
    return name


def local_paths(name: str) -> list[str]:
    """The paths on this machine that a name of data stands for: of a pattern, those of its shards.

    They need not exist, and a URL has none.
    """
    if is_remote(name):
        return []
    if not is_pattern(name) or exists(name):
        return [name]
    try:
        return find_shards(name, LocalFiles())
    except UsageError:
        return []


def require_installed(name: str) -> None:
    """Check that the part of fsspec that reads a URL is installed.

    Raises:
        UsageError: it is not; the message says how to install it.
    """
    protocol = name.partition("://")[0].lower()
    needed = ("fsspec", *NEEDED.get(protocol, ()))
    missing = [module for module in needed if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(f"{name} needs {missing[0]}: pip install 'vae-cli[remote]'")
    from fsspec.registry import known_implementations, registry

    if protocol not in known_implementations and protocol not in registry:
        raise UsageError(f"{name}: fsspec does not know {protocol}://")


def absolute_pattern(name: str) -> str:
    """A pattern that means the same in every folder; the current one may have a star in its name.

    A brace in the name of the current folder becomes a set of one for a glob, which is no range.
    """
    if os.path.isabs(name):  # noqa: PTH117  Path would take a double slash away
        return name
    here = re.sub(r"[{}*?\[]", lambda found: f"[{found[0]}]", os.getcwd())  # noqa: PTH109
    return os.path.normpath(os.path.join(here, name))  # noqa: PTH118
