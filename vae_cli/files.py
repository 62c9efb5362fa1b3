"""Files are written whole or not at all."""

import os
import tempfile
from pathlib import Path

from vae_cli.errors import VAEError


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`; whoever looks finds the old file or the new one, never a part.

    The bytes reach the disk under a temporary name in the same folder before they take the place
    of `path`, so a full disk or a kill leaves what was there.

    Raises:
        VAEError: the folder is missing, cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name[:64]}.", suffix=".tmp"
        )
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())  # mkstemp's 0600 would hide the file from a team
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except (FileExistsError, NotADirectoryError) as error:
        raise VAEError(f"cannot write {path}: {path.parent} is not a folder") from error
    except OSError as error:
        raise VAEError(f"cannot write {path}: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
