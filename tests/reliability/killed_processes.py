"""Kill one of the processes that train a run together, go on with it, and print what was found.

    python killed_processes.py FOLDER SEED KILLS

Every kill is a SIGKILL to the launcher, to process 0 or to process 1, in each of five phases, KILLS
times each. All are forked from this process, which has imported torch already, because starting
Python would take most of the time; the launcher is that of `vae train --processes 2`. The phases
are found by wrapping what the processes call, in which they then take a little longer.
"""

import functools
import importlib
import itertools
import json
import mmap
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from killed import count_unreadable, results
from PIL import Image
from torch.distributed.elastic.agent.server.api import WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent

from vae_cli.cli import _launcher
from vae_cli.cli._app import main as vae
from vae_cli.data import cache
from vae_cli.files import TEMPORARY_FILE_SUFFIX
from vae_cli.runs.directory import Run
from vae_cli.runs.recorder import RunRecorder
from vae_cli.training import epochs, loop

IMPORTED = (  # before the processes are forked, because each of them would import it again
    *("torch._dynamo", "torch._inductor.config", "torch.fx.experimental.symbolic_shapes"),
    *("vae_cli.runs.begin", "vae_cli.runs.together", "vae_cli.runs.train", "vae_cli.data.folder"),
)
PHASES = ("start", "cache", "step", "evaluation", "save")
WIDTHS = {"start": 0.4, "cache": 0.25, "step": 0.03, "evaluation": 0.05, "save": 0.06}  # seconds
VICTIMS = ("launcher", "process 0", "process 1")
END_SECONDS = 60  # after which a process that is still there counts as one that hangs
PROCESSES = 2
MAX_ATTEMPTS = 5  # until a kill comes before the end of the training
WORDS = (
    *("train", "--data", "pictures", "--processes", str(PROCESSES), "--name", "run", "--quiet"),
    *("--epochs", "4", "--batch-size", "16", "--model", "mlp", "--hidden", "32"),
    *("--latent-dim", "3", "--save-every", "1", "--precision", "float32", "--device", "cpu"),
)


class Board:
    """What the processes tell the one that kills them: their ids, and in which phases they are."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.values = memoryview(self.memory).cast("i")

    def clear(self) -> None:
        """Forget the processes that have ended."""
        for place in range(2 * PROCESSES):
            self.values[place] = 0

    def enter(self, rank: int, phase: str) -> None:
        """Say where a process is."""
        self.values[2 * rank] = os.getpid()
        self.values[2 * rank + 1] = 1 + PHASES.index(phase) if phase else 0

    def pids(self) -> list[int]:
        """The processes, by rank; 0 for one that has not started yet."""
        return [self.values[2 * rank] for rank in range(PROCESSES)]

    def has(self, phase: str) -> bool:
        """Whether one of the processes is in a phase."""
        number = 1 + PHASES.index(phase)
        return any(self.values[2 * rank + 1] == number for rank in range(PROCESSES))


BOARD = Board()
for module in IMPORTED:
    importlib.import_module(module)


def wrap(owner: Any, name: str, phase: str, seconds: float) -> None:
    """Tell when a process is in a function, and stay in it a little longer."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def wrapped(*words: Any, **more: Any) -> Any:
        rank = int(os.environ["RANK"])
        BOARD.enter(rank, phase)
        time.sleep(seconds)
        try:
            return real(*words, **more)
        finally:
            BOARD.enter(rank, "")

    setattr(owner, name, wrapped)


def work(is_slow: bool) -> int:
    """What one process of a launcher does."""
    os.setsid()
    BOARD.enter(int(os.environ["RANK"]), "start")
    if is_slow:
        wrap(epochs, "train_step", "step", 0.005)
        wrap(loop, "evaluate", "evaluation", 0.03)
        wrap(RunRecorder, "save", "save", 0.01)
        wrap(os, "fsync", "save", 0.01)
        wrap(cache, "_fill_entry", "cache", 0.02)
        fill_slowly()
    code = vae(list(WORDS) if not Path("runs/run/last.safetensors").exists() else list(RESUME))
    if code:
        sys.stderr.flush()
        os._exit(code)
    threading.Thread(target=leave_with, args=(os.getppid(),), daemon=True).start()
    return code


def leave_with(launcher: int) -> None:
    """End when the launcher does, for which torch lets a process wait that was forked."""
    while os.getppid() == launcher:
        time.sleep(0.05)
    os._exit(0)


RESUME = ("train", "--resume", "run", "--quiet")


def fill_slowly() -> None:
    """Let a file of the cache be unfinished for a while."""
    allocate = cache._allocate

    def slowly(path: Path) -> None:
        allocate(path)
        time.sleep(0.2)

    cache._allocate = slowly


def start(folder: Path, *, is_slow: bool) -> int:
    """Fork a launcher that trains or resumes the run in a folder; returns its id."""
    BOARD.clear()
    pid = os.fork()
    if pid:
        return pid
    os.chdir(folder)
    os.environ["VAE_DATA"] = str(folder / "cache")
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)

    def spec(**given: Any) -> WorkerSpec:
        return WorkerSpec(**given | {"entrypoint": work, "args": (is_slow,)})

    _launcher.WorkerSpec = spec  # type: ignore[assignment,misc]
    _launcher.LocalElasticAgent = functools.partial(LocalElasticAgent, start_method="fork")  # type: ignore[assignment,misc]
    is_resumed = Path("runs/run/last.safetensors").exists()
    os._exit(vae(list(RESUME if is_resumed else WORDS)))


def is_there(pid: int) -> bool:
    """Whether a process works; one that has ended may not have been waited for by its parent."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is so; returns whether it was in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.0005)
    return True


def end_of(launcher: int) -> int | None:
    """The exit code of a launcher once it and all its processes have ended; None if they hang."""
    codes: list[int] = []

    def has_ended() -> bool:
        if not codes:
            pid, status = os.waitpid(launcher, os.WNOHANG)
            codes.extend([status] if pid else [])
        return bool(codes) and not any(map(is_there, filter(None, BOARD.pids())))

    if wait_for(has_ended, END_SECONDS):
        return codes[0]
    for pid in (launcher, *filter(None, BOARD.pids())):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not codes:
        os.waitpid(launcher, 0)
    return None


def kill_in(phase: str, victim: str, launcher: int, draw: random.Random) -> bool:
    """Kill a process in a phase; returns whether it came to that."""
    if phase in {"step", "evaluation", "save"}:
        wait_for(lambda: BOARD.has("step"), END_SECONDS)
        time.sleep(draw.uniform(0, 0.8))  # in one of the epochs
    if phase == "start":
        is_found = wait_for(lambda: all(BOARD.pids()), END_SECONDS)
    else:
        is_found = wait_for(lambda: BOARD.has(phase) or not is_there(launcher), END_SECONDS)
    time.sleep(draw.uniform(0, WIDTHS[phase]))
    pid = launcher if victim == "launcher" else BOARD.pids()[VICTIMS.index(victim) - 1]
    if not is_found or not is_there(launcher) or not is_there(pid):
        return False
    os.kill(pid, signal.SIGKILL)
    return True


def prepare(folder: Path) -> None:
    """Make the pictures to train on."""
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(60):
            pixels = draw.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{number}.png")


def new_folder(root: Path, name: str) -> Path:
    """A folder with the same pictures, and with a cache of its own that is empty."""
    folder = root / name
    (folder / "cache").mkdir(parents=True)
    (folder / "pictures").symlink_to(root / "pictures")
    return folder


def left_over(folder: Path) -> list[str]:
    """Temporary files in the run and in the cache."""
    names = [path.name for path in (folder / "runs" / "run").glob(f".*{TEMPORARY_FILE_SUFFIX}")]
    return names + [path.name for path in (folder / "cache").glob("*.tmp")]


def go_on(folder: Path) -> int:
    """Resume a run until it is finished, or train it if nothing was saved."""
    run = Run(folder / "runs" / "run")
    if run.path.exists() and not run.last.exists():
        shutil.rmtree(run.path)  # as `vae runs rm` does
    return end_of(start(folder, is_slow=False)) or 0


def attempt(folder: Path, phase: str, victim: str, draw: random.Random) -> bool:
    """Start a training, and kill one of its processes; returns whether it came to that.

    Whatever is left of it has ended afterwards, or is killed and said to hang.
    """
    launcher = start(folder, is_slow=True)
    is_killed = kill_in(phase, victim, launcher, draw)
    if end_of(launcher) is None:
        (folder / "hung").touch()
    return is_killed


def find_problems(folder: Path, expected: object) -> dict[str, bool]:
    """What is wrong after a kill, and after the run was resumed."""
    run = Run(folder / "runs" / "run")
    found = {"hung": (folder / "hung").exists(), "unreadable": count_unreadable(run) > 0}
    found["failed"] = go_on(folder) != 0 or not run.finished
    found["different"] = not found["failed"] and results(run) != expected
    found["left"] = bool(left_over(folder))
    return found


def main(root: Path, seed: int, kills: int) -> None:
    draw, root = random.Random(seed), root.resolve()
    prepare(root)
    whole = new_folder(root, "whole")
    assert end_of(start(whole, is_slow=True)) == 0, (whole / "log").read_text()
    expected = results(Run(whole / "runs" / "run"))
    found: dict[str, Any] = {"kills": 0, "missed": 0, "problems": []}
    for turn, phase, victim in itertools.product(range(kills), PHASES, VICTIMS):
        for number in range(MAX_ATTEMPTS):
            folder = new_folder(root, f"{phase}-{victim.replace(' ', '')}-{turn}-{number}")
            if attempt(folder, phase, victim, draw):
                found["kills"] += 1
                problems = find_problems(folder, expected)
                found["problems"] += [
                    f"{folder.name}: {name}" for name in problems if problems[name]
                ]
                break
            found["missed"] += 1
        (root / "found.json").write_text(json.dumps(found))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
