"""Who trained a run: the path of its data is opened only if this user chose it, or confirms it.

To use the held-out items of a run means to open the data that it names. In a run that somebody sent
you, that may be any path: private pictures, which then are in a page that you publish, or a share
of another computer, to which Windows would send a hash of your password. A checkpoint therefore
contains a signature of the name of its data, HMAC-SHA256 (RFC 2104) with a random key that only
this user can read. Without it, every run with a path would need `--data`, also your own.

Only the name is signed: all other contents of a checkpoint are checked when they are read, whoever
wrote them.
"""

import functools
import hashlib
import hmac
import os
import secrets
import shlex
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

from vae_cli.data.source import BUILT_IN_NAMES
from vae_cli.errors import UsageError, VAEWarning, mark
from vae_cli.files import read_file

KEY_BYTES = 32


def sign(name: str) -> str:
    """The signature of the name of a run's data; empty for a built-in name, which needs none.

    If the key cannot be written, the signature is empty too, and a warning says so.
    """
    if name in BUILT_IN_NAMES:
        return ""
    key = _read_key() or _create_key(_key_file())
    return "" if key is None else _signature(key, name)


def is_signed(name: str, signature: object) -> bool:
    """Whether the data of a run may be opened: they are built in, or this user chose the path.

    Args:
        name: of the data.
        signature: what the checkpoint contains as the signature.
    """
    if name in BUILT_IN_NAMES:
        return True
    key = _read_key()
    if key is None or not isinstance(signature, str):
        return False
    return hmac.compare_digest(_signature(key, name).encode(), signature.encode(errors="replace"))


def explain_unconfirmed(run: str, name: str) -> str:
    """Why the data of a run are not opened, and what to do.

    Args:
        run: its name.
        name: of its data.
    """
    return (
        f"run {run} was not trained here by you, so the path of its data is not opened: "
        f"confirm it with {mark('data')} {shlex.quote(name)}"
    )


def user_folder() -> Path:
    """`VAE_HOME`, or else the platform's folder for the data of a user's programs."""
    import platformdirs  # takes time that vae --help does not have

    return Path(os.environ.get("VAE_HOME") or platformdirs.user_data_dir("vae"))


def _key_file() -> Path:
    """The key of this user."""
    return user_folder() / "origin.key"


def _read_key() -> bytes | None:
    """The key of this user; None if there is none."""
    try:
        key = read_file(_key_file(), KEY_BYTES)
    except (OSError, UsageError):
        return None
    return key if len(key) == KEY_BYTES else None


@functools.cache  # tried once, so that there is one warning
def _create_key(path: Path) -> bytes | None:
    """Write a new key, unless another process was first, and read it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent)  # its permissions are 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(unfinished)  # complete, and not over another key
        finally:
            Path(unfinished).unlink()
        reason = "it is damaged"
    except OSError as error:
        reason = error.strerror or str(error)
    key = _read_key()
    if key is None:
        text = (
            f"the run cannot be signed, so {mark('data')} must confirm its data "
            f"later: {path}: {reason}; "
            "set VAE_HOME to a folder"
        )
        warnings.warn(VAEWarning(text), stacklevel=2)
    return key


def _signature(key: bytes, name: str) -> str:
    return hmac.new(key, name.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
