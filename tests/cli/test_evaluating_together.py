"""`vae evaluate`, `score` and `embed` in several processes, as a user starts them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FIGURES = ("evaluate", "--samples", 3, "--json")


def run(folder: Path, *words: object, processes: int = 1) -> tuple[str, str]:
    """What a command prints to both streams."""
    done = call(*words, "--processes", processes, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def numbers(value: Any) -> Iterator[float]:
    """All numbers of a document, in order."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from numbers(one)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.parametrize("processes", [2, 4])
def test_the_files_and_figures_of_several_processes_are_those_of_one(
    here: Path, processes: int
) -> None:
    for words, file in ((("score", "--samples", 2), "score.csv"), (("embed",), "embed.csv")):
        expected = run(here, *words, "-o", file)
        content = (here / file).read_bytes()
        assert run(here, *words, "-o", file, processes=processes) == expected
        assert (here / file).read_bytes() == content
    alone, remarks = run(here, *FIGURES)
    together, same_remarks = run(here, *FIGURES, processes=processes)
    assert same_remarks == remarks, "each line is there once"
    first, second = (json.loads(text) for text in (alone, together))
    for document in (first, second):
        del document["seconds"]
    assert list(numbers(second)) == pytest.approx(list(numbers(first)), rel=1e-4)


def test_an_outer_torchrun_is_joined_and_an_error_is_said_once(here: Path) -> None:
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words += ["-m", "vae_cli", "score", "--samples", "2", "-o", "a.csv"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=here, env=environment, capture_output=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    run(here, "score", "--samples", 2, "-o", "b.csv")
    assert (here / "a.csv").read_bytes() == (here / "b.csv").read_bytes()
    failed = call("score", "missing/", "--processes", 2, cwd=here)
    assert failed.returncode == 2
    assert failed.stderr.count("error:") == 1
    (here / "small.csv").write_text("a,b\n1,2\n")
    failed = call("score", "small.csv", "--processes", 2, cwd=here)  # which each of them finds
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1, failed.stderr
