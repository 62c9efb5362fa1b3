"""Train in a child that is killed at a moment of the parent's choosing; print what is left as JSON.

    python killed.py FOLDER SEED KILLS

Every kill is by SIGKILL: odd ones at a random time, even ones inside a save, at a random one of the
calls that put bytes, names or folders on the disk. After each the run goes on until it is finished.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from vae_cli import checkpoint, config
from vae_cli.errors import VAEError
from vae_cli.experiment import prepare, train
from vae_cli.restore import go_on
from vae_cli.runs import Run, create

TABLES = {"data": {"limit": 512}, "model": {"hidden": [16], "latent_dim": 3}}
TABLES |= {"training": {"epochs": 4, "batch_size": 32, "save_every": "1"}}


def learn(run: Run) -> None:
    torch.set_num_threads(1)
    kept, settings = go_on(run, []) if run.last.exists() else (None, config.resolve(("", TABLES)))
    where = torch.device("cpu")
    train(
        run,
        prepare(settings, where, lambda done, total: None),
        where,
        kept=kept,
        report=lambda done: None,
        progress=lambda done, total: None,
        stopped=lambda: None,
    )


def die_inside_a_save(call: int) -> None:
    """Replace the calls that reach the disk by ones of which the `call`-th is the last."""
    calls = 0
    for name in ("fsync", "replace", "rename", "chmod", "fdopen"):
        real = getattr(os, name)

        def counted(*words: object, real: object = real, **more: object) -> object:
            nonlocal calls
            calls += 1
            if calls >= call:
                if real is os_fdopen:  # leave half the bytes behind
                    os.write(words[0], b"half of what should be here")
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*words, **more)

        setattr(os, name, counted)


os_fdopen = os.fdopen


def child(run: Run, call: int | None) -> int:
    """Fork a training; with `call` it kills itself inside a save."""
    pid = os.fork()
    if pid:
        return pid
    if call:
        die_inside_a_save(call)
    try:
        learn(run)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(9)
    os._exit(0)


def main(folder: Path, seed: int, kills: int) -> None:
    draw = random.Random(seed)
    whole = create(config.resolve(("", TABLES)), "whole", folder)
    start = time.monotonic()
    os.waitpid(child(whole, None), 0)
    duration = time.monotonic() - start
    done = {"kills": 0, "inside": 0, "unreadable": 0, "different": 0, "failed": 0}
    number = 0
    while done["kills"] < kills:
        number += 1
        run = create(config.resolve(("", TABLES)), f"run{number}", folder)
        while not run.finished:
            inside = done["kills"] % 2 == 0
            pid = child(run, draw.randrange(1, 40) if inside else None)
            if not inside:
                time.sleep(draw.uniform(0, duration))
                os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            done["failed"] += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
            if os.WIFSIGNALED(status):
                done["kills"] += 1
                done["inside"] += inside
                done["unreadable"] += unreadable(run)
        done["different"] += what(run) != what(whole) or bool(list(run.path.glob(".*")))
    sys.stdout.write(json.dumps(done))


def unreadable(run: Run) -> int:
    """How many of the checkpoints that exist cannot be read."""
    count = 0
    for path in (run.best, run.last):
        try:
            if path.exists():
                checkpoint.load(path)
        except VAEError:
            count += 1
    return count


def what(run: Run) -> object:
    """Weights, rows less their seconds, and pictures."""
    tensors = {
        f"{path.name}:{name}": tensor.numpy().tobytes()
        for path in (run.best, run.last)
        for name, tensor in checkpoint.load(path).tensors.items()
    }
    rows = [line.rpartition(",")[0] for line in run.metrics_file.read_text().splitlines()]
    return tensors, rows, [picture.read_bytes() for picture in run.shown(".png")]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
