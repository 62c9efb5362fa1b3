"""Types and functions that several test modules use."""

import os
import re
import socket
import subprocess
import sysconfig
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

from vae_cli.cli._app import main
from vae_cli.errors import MARK

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
VAE = Path(sysconfig.get_path("scripts")) / "vae"


class Output(NamedTuple):
    """What a command printed."""

    out: str
    err: str


Vae = Callable[..., subprocess.CompletedProcess[str]]
Use = Callable[..., Output]
Refused = Callable[..., str]


def call(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the console script in a folder, with its output on pipes."""
    return subprocess.run(
        [VAE, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


class ProcessorTime:
    """The processor time of this process in one or more `with` blocks.

    A test compares the mean of some work with the mean of other work on the same machine, where
    other programs do not count: `assert refused.mean < 3 * read.mean`.
    """

    def __init__(self) -> None:
        self.seconds, self.blocks = 0.0, 0

    def __enter__(self) -> Self:
        self.seconds -= time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds += time.process_time()
        self.blocks += 1

    @property
    def mean(self) -> float:
        """Seconds of one block."""
        return self.seconds / self.blocks


def invisible_characters(text: str) -> list[str]:
    """Characters other than line ends that could control a terminal or hide in a name."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return [char for char in text if unicodedata.category(char) in kinds and char != "\n"]


def run_refused(read_output: Callable[[], tuple[str, str]], *words: object, code: int = 2) -> str:
    """Run words that must fail with `code` and one clean line; returns it without `error: `.

    Nothing may be left in the current folder that was not there before.
    """
    before = sorted(Path.cwd().rglob("*"))
    found = main([str(word) for word in words])
    out, err = read_output()
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    assert err.endswith("\n"), err
    assert invisible_characters(out + err) == []
    assert "Traceback" not in err
    assert not err.startswith("error: unexpected "), err
    assert not MARK.search(err), "the command line shows options in place of keys"
    assert found == code, err
    assert not out
    assert sorted(Path.cwd().rglob("*")) == before
    return err.removeprefix("error: ").rstrip("\n")


def make_pipe(path: Path) -> None:
    """A named pipe: opening it waits for a writer."""
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    """A socket; the path must be short."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def link_to_device(path: Path) -> None:
    """A link to a device that never ends."""
    path.symlink_to("/dev/zero")


SPECIAL_FILES = [make_pipe, make_socket, link_to_device]
