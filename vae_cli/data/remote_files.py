"""Shards at a URL, through fsspec: which ones there are, and bringing them here.

fsspec (https://filesystem-spec.readthedocs.io) is one interface to many file systems, whose parts
`shard_names.require_installed` looks for.

A shard is brought as a whole, because a training reads all of it: one request for a shard is faster
than one for each picture. It lies in the cache until the room is needed for others, so that all
processes of a machine bring it once, and a small data set is brought once for all epochs.
"""

import hashlib
import importlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, final

from vae_cli.data.cache import TEMPORARY_SUFFIX, cache_folder, locked
from vae_cli.data.shard_files import ShardFile
from vae_cli.errors import VAEError, shorten
from vae_cli.files import open_file

TRIES = 4  # of one shard, or of one question
WAIT_SECONDS = 0.5  # after the first failure, and twice as long after each other one
CONNECT_SECONDS, SILENT_SECONDS = 30, 60  # after which a server counts as lost
MAX_KEPT = 16 * 2**30  # bytes of shards in the cache; those that are in use may be more
ASKING = 16  # threads that ask which shards there are
SUFFIX = ".shard"  # of a shard in the cache
FINAL_ERRORS = (IsADirectoryError, NotImplementedError)  # which trying again does not mend
FORBIDDEN_NAMES = {"NoCredentialsError", "GatedRepoError"}
FORBIDDEN, GONE = {401, 403}, {404, 410}  # as HTTP says it
MAX_REASON = 200  # characters of what a library says


@final
class RemoteFiles:
    """The file system of a URL; what it says about a file is asked once.

    Args:
        name: a URL, perhaps with ranges, lists and globs.
    """

    def __init__(self, name: str) -> None:
        self.protocol, self.known = name.partition("://")[0].lower(), dict[str, Any]()

    @cached_property
    def system(self) -> Any:
        """The file system of fsspec."""
        options: dict[str, Any] = {}
        if self.protocol in {"http", "https"}:
            aiohttp = importlib.import_module("aiohttp")
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS
            )
            options = {"client_kwargs": {"timeout": timeout}}
        return importlib.import_module("fsspec").filesystem(self.protocol, **options)

    def __getstate__(self) -> dict[str, Any]:
        return {"protocol": self.protocol, "known": self.known}

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder.

        Raises:
            VAEError: nobody answers.
        """
        with suppress(FileNotFoundError):
            self.facts(path)
            return True
        return False

    def are_there(self, paths: Sequence[str]) -> list[bool]:
        """The same of several paths, which are asked for at the same time."""
        with ThreadPoolExecutor(ASKING) as pool:
            return list(pool.map(self.exists, paths))

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return self.exists(path) and self.facts(path)["type"] == "directory"

    def find(self, pattern: str) -> list[str]:
        """The URLs that a glob means, sorted.

        Raises:
            VAEError: nobody answers.
        """
        try:
            found = ask(lambda: self.system.glob(pattern, detail=True), pattern)
        except FileNotFoundError:  # the bucket, or the repository
            return []
        urls = {self.system.unstrip_protocol(path): facts for path, facts in found.items()}
        self.known |= urls
        return sorted(urls)

    def facts(self, path: str) -> Any:
        """What the file system says about a path.

        Raises:
            FileNotFoundError: there is nothing.
            VAEError: nobody answers.
        """
        if path not in self.known:
            self.known[path] = ask(lambda: self.system.info(path), path)
        return self.known[path]


def ask(question: Callable[[], Any], name: str) -> Any:
    """The answer of a file system, which is asked several times if the connection is lost.

    Raises:
        FileNotFoundError: there is no such file.
        VAEError: there is no answer; one line that names what was asked for.
    """
    for attempt in range(TRIES):
        try:
            return question()
        except Exception as raised:  # whatever a library raises about its network
            error = _find_reason(raised)
            if isinstance(error, FileNotFoundError):
                raise
            is_final = isinstance(error, FINAL_ERRORS) or _is_forbidden(error)
            if is_final or attempt == TRIES - 1:
                tried = "" if is_final else f" (tried {TRIES} times)"
                raise VAEError(f"{name}: {_explain(error)}{tried}") from error
            time.sleep(WAIT_SECONDS * 2**attempt)
    raise AssertionError(name)


def _find_reason(error: Exception) -> BaseException:
    """The error of the network, for which fsspec says that there is no such file."""
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or cause is None:
        return error
    if not type(cause).__module__.startswith("aiohttp"):
        return error
    return error if getattr(cause, "status", None) in GONE else cause


def _is_forbidden(error: BaseException) -> bool:
    """Whether nobody may read the file without other credentials."""
    is_named = isinstance(error, PermissionError) or type(error).__name__ in FORBIDDEN_NAMES
    return is_named or getattr(error, "status", None) in FORBIDDEN


def _explain(error: BaseException) -> str:
    """One line about what a library says."""
    if _is_forbidden(error):
        return "it may not be read: check the credentials, or FSSPEC_S3_ANON=true for a public one"
    lines = str(error).strip().splitlines()
    return shorten(lines[0] if lines else type(error).__name__, MAX_REASON)


@final
class RemoteShard(ShardFile):
    """A shard at a URL, which is in the cache when it is open.

    Args:
        url: where it is.
        files: its file system.
    """

    def __init__(self, url: str, files: RemoteFiles) -> None:
        facts = files.facts(url)
        self.path, self.files = url, files
        self.size = int(facts.get("size") or 0)
        named = {key: str(facts.get(key)) for key in sorted(facts) if key not in {"name", "url"}}
        self.stamp = repr(named)

    def open(self) -> BufferedReader:
        """The shard in the cache, where it is brought first if it is not there.

        It may be removed from the cache while it is open, which only takes away its name.

        Raises:
            VAEError: it cannot be brought, or the disk is full.
        """
        digest = hashlib.sha256(f"{self.path} {self.stamp}".encode()).hexdigest()[:32]
        target = cache_folder() / f"shard-{digest}{SUFFIX}"
        while True:
            with suppress(FileNotFoundError):
                os.utime(target)  # the last use
                return open_file(target)
            with locked(target.with_suffix(".lock"), lambda: None):
                if not target.exists():
                    self._bring(target)

    def _bring(self, target: Path) -> None:
        """Bring the shard, all or nothing; others make room for it.

        Raises:
            VAEError: it cannot be brought, or the disk is full.
        """
        make_room(target.parent, self.size)
        temporary = target.with_suffix(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
        try:
            ask(lambda: self._copy(temporary), self.path)
            temporary.replace(target)
        except FileNotFoundError as error:
            raise VAEError(f"{self.path} is not there any more") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _copy(self, temporary: Path) -> None:
        """Copy all bytes.

        Raises:
            OSError: there are fewer, or the disk is full.
        """
        self.files.system.get_file(self.path, str(temporary))
        size = temporary.stat().st_size
        if self.size and size != self.size:
            raise OSError(f"the connection ended after {size:,} of {self.size:,} bytes")


def make_room(folder: Path, size: int) -> None:
    """Remove the shards that were used longest ago, so that another one fits into the cache.

    Raises:
        VAEError: the disk has no room for it even so.
    """
    kept = []
    for path in folder.glob(f"shard-*{SUFFIX}"):
        with suppress(FileNotFoundError):
            facts = path.stat()
            kept.append((facts.st_mtime, facts.st_size, path))
    total = size + sum(length for _, length, _ in kept)
    for _, length, path in sorted(kept):
        free = shutil.disk_usage(folder).free
        if total <= MAX_KEPT and size < free:
            return
        path.unlink(missing_ok=True)
        total -= length
    if size > shutil.disk_usage(folder).free:
        raise VAEError(
            f"{folder} has no room for a shard of {size / 2**30:.1f} GiB: set VAE_DATA to another "
            "folder"
        )
