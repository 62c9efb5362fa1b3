"""Train in child processes that are killed, resume each run, and print what was found as JSON.

    python killed.py FOLDER SEED KILLS

Every kill is a SIGKILL. Half of them come at a random time. The other half come during a save, at a
random one of the calls that change the disk. After each kill, the run is resumed, until it is
finished.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from vae_cli.errors import VAEError
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run, create_run
from vae_cli.runs.resolve import resolve
from vae_cli.runs.start import load_for_resume
from vae_cli.runs.train import train_run
from vae_cli.settings import merge

TRAINING = {"epochs": 4, "batch_size": 32, "save_every": "1", "precision": "float32"}
CONFIG = merge(
    (
        "",
        {
            "data": {"limit": 512},
            "model": {"network": "mlp", "hidden": [16], "latent_dim": 3},
            "training": TRAINING,
        },
    )
)
OPEN = os.open  # before it is replaced


def train_or_resume(run: Run) -> None:
    """Train a run to its end, from its last save if there is one."""
    torch.set_num_threads(1)
    saved, config = load_for_resume(run, []) if run.last.exists() else (None, CONFIG)
    train_run(run, resolve(config, torch.device("cpu")), saved=saved)


def kill_during_a_save(call: int) -> None:
    """Replace the calls that change the disk; the `call`-th one kills this process."""
    calls = 0
    for name in ("fsync", "replace", "rename", "chmod", "open"):
        real = getattr(os, name)

        def counted(*words: object, real: object = real, **more: object) -> object:
            nonlocal calls
            calls += 1
            if calls >= call:
                if real is OPEN and words[1] & os.O_EXCL:  # leave a file that is not complete
                    os.write(OPEN(*words, **more), b"half of what should be here")
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*words, **more)

        setattr(os, name, counted)


def start_child(run: Run, call: int | None) -> int:
    """Fork a process that trains; with `call`, it kills itself during a save. Returns its id."""
    pid = os.fork()
    if pid:
        return pid
    if call:
        kill_during_a_save(call)
    try:
        train_or_resume(run)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(9)
    os._exit(0)


def main(folder: Path, seed: int, kills: int) -> None:
    draw = random.Random(seed)
    uninterrupted = create_run(CONFIG, "uninterrupted", folder)
    start = time.monotonic()
    os.waitpid(start_child(uninterrupted, None), 0)
    duration = time.monotonic() - start
    found = {"kills": 0, "during_a_save": 0, "unreadable": 0, "different": 0, "failed": 0}
    number = 0
    while found["kills"] < kills:
        number += 1
        run = create_run(CONFIG, f"run{number}", folder)
        while not run.finished:
            during_a_save = found["kills"] % 2 == 0
            pid = start_child(run, draw.randrange(1, 40) if during_a_save else None)
            if not during_a_save:
                time.sleep(draw.uniform(0, duration))
                os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            found["failed"] += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
            if os.WIFSIGNALED(status):
                found["kills"] += 1
                found["during_a_save"] += during_a_save
                found["unreadable"] += count_unreadable(run)
        left_over = bool(list(run.path.glob(".*")))
        found["different"] += left_over or results(run) != results(uninterrupted)
    sys.stdout.write(json.dumps(found))


def count_unreadable(run: Run) -> int:
    """How many of the checkpoints that exist cannot be read."""
    count = 0
    for path in (run.best, run.last):
        try:
            if path.exists():
                load_checkpoint(path)
        except VAEError:
            count += 1
    return count


def results(run: Run) -> object:
    """All that must be equal: weights, metrics without their seconds, and previews."""
    tensors = {
        f"{path.name}:{name}": tensor.numpy().tobytes()
        for path in (run.best, run.last)
        for name, tensor in load_checkpoint(path).tensors.items()
    }
    rows = [line.rpartition(",")[0] for line in run.metrics_file.read_text().splitlines()]
    return tensors, rows, [picture.read_bytes() for picture in run.previews(".png")]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
