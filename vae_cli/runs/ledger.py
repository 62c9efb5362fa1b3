"""Which output files `vae` wrote, so that it replaces those and no others without being told to.

The folder `outputs` in the user's folder has one small file for each output. Its name is a digest
of the path of the output, and its content a digest of what was written there. A file that somebody
has changed since, or put in the place of the output, has another digest.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vae_cli.errors import UsageError
from vae_cli.files import exists, open_file, read_file
from vae_cli.runs.origin import user_folder

_ALGORITHM = "sha256"
_DIGEST_BYTES = 2 * hashlib.new(_ALGORITHM).digest_size  # in hexadecimal


def record(target: Path, written: Path) -> None:
    """Remember that `vae` wrote a file.

    If that is not possible, the file is unknown later, and nothing else fails.

    Args:
        target: the path of the file, without symbolic links.
        written: where its contents are now.
    """
    entry = _entry(target)
    with suppress(OSError):
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        entry.write_text(_digest(written))


def is_recorded(target: Path) -> bool:
    """Whether there is a file that `vae` wrote, and that nobody has changed since.

    Args:
        target: the path of the file, without symbolic links.
    """
    entry = _entry(target)
    if not exists(entry):
        return False
    try:
        return read_file(entry, _DIGEST_BYTES).decode() == _digest(target)
    except (OSError, UsageError, UnicodeDecodeError):
        return False


def forget(targets: Iterable[str]) -> None:
    """Treat files as if `vae` had not written them.

    Args:
        targets: their paths, without symbolic links.
    """
    with suppress(OSError):
        known = set(os.listdir(_folder()))  # noqa: PTH208
        for target in targets if known else ():
            if (name := _name(target)) in known:
                (_folder() / name).unlink(missing_ok=True)


def _folder() -> Path:
    return user_folder() / "outputs"


def _name(target: Path | str) -> str:
    return hashlib.new(_ALGORITHM, os.fsencode(target)).hexdigest()


def _entry(target: Path) -> Path:
    return _folder() / _name(target)


def _digest(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, _ALGORITHM).hexdigest()
