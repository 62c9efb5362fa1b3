"""The commands of the README work when they are pasted in their order in an empty folder."""

import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from support import VAE, call

README = (Path(__file__).parents[2] / "README.md").read_text()
SHORT = ["--limit", "2048", "--epochs", "2"]  # a training of seconds instead of minutes


def commands() -> list[list[str]]:
    """The lines of all blocks that call `vae`, as words."""
    blocks = re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("vae ")]


def explore(words: list[str], folder: Path) -> None:
    """Start the page without a display, and end it with Ctrl-C when it answers."""
    environment = {k: v for k, v in os.environ.items() if k not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    command = [str(VAE), *words]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=30) as page:
            assert page.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_the_readme_has_commands_for_everything_that_it_describes() -> None:
    names = [words[0] for words in commands()]
    assert names[0] == "train"
    assert {"reconstruct", "sample", "traverse", "data", "explore"} <= set(names)


@pytest.mark.slow
def test_every_command_works_and_none_overwrites_what_another_wrote(tmp_path: Path) -> None:
    written: set[str] = set()
    for words in commands():
        if words[0] == "explore":
            explore(words, tmp_path)
            continue
        short = SHORT if words[0] == "train" else []
        done = call(*words, *short, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        files = [line for line in done.stdout.splitlines() if line.endswith(".png")]
        assert files, words
        assert not written & set(files), words
        written.update(files)
    assert all((tmp_path / name).is_file() for name in written)
    (block,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True)
