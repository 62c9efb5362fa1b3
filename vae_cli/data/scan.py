"""Which pictures are in a folder and its sub-folders."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vae_cli.data.catalogue import PICTURE_SUFFIXES
from vae_cli.errors import UsageError

TRAIN_FOLDER = "train"
TEST_FOLDERS = ("test", "val", "valid", "validation")
MAX_NAMED = 5  # paths in one message


@dataclass(frozen=True)
class PictureFile:
    """A picture file in the folder.

    Attributes:
        name: the path relative to the folder, with `/` between its parts.
        size: in bytes.
        changed: time of the last change, in nanoseconds.
    """

    name: str
    size: int
    changed: int

    @property
    def parts(self) -> tuple[str, ...]:
        """Its sub-folders, from the top, without a leading `train` or `test`."""
        parts = tuple(self.name.split("/")[:-1])
        return parts[1:] if parts and parts[0] in {TRAIN_FOLDER, *TEST_FOLDERS} else parts

    @property
    def held_out(self) -> bool:
        """Whether it is in the folder's own test part."""
        return self.name.split("/")[0] in TEST_FOLDERS


class Scan(NamedTuple):
    """What was found in a folder.

    Attributes:
        files: the pictures, sorted by name; at least one.
        warning: names the sub-folders and files that the system refused; empty if there are none.
    """

    files: list[PictureFile]
    warning: str


def scan_pictures(folder: Path) -> Scan:
    """Find the picture files in a folder and its sub-folders, by suffix, without hidden ones.

    Raises:
        UsageError: there is none, or the folder cannot be read.
    """
    files: list[PictureFile] = []
    failures: list[OSError] = []
    for top, folders, names in os.walk(folder, onerror=failures.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith("."):
                path = Path(top, name)
                try:
                    facts = path.stat()
                except OSError as error:
                    failures.append(error)
                    continue
                if stat.S_ISREG(facts.st_mode):
                    relative = path.relative_to(folder).as_posix()
                    files.append(PictureFile(relative, facts.st_size, facts.st_mtime_ns))
    warning = _explain(folder, failures)
    if not files:
        looked = f"no pictures in {folder}: looked for {', '.join(PICTURE_SUFFIXES)}"
        raise UsageError(f"{looked}; {warning}" if warning else looked)
    return Scan(sorted(files, key=lambda file: file.name), warning)


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
    return f"{len(reasons):,} of {count:,} pictures cannot be read and are left out; {where}"


def _explain(folder: Path, failures: list[OSError]) -> str:
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
