"""Several processes that use one lock or one cache entry and are killed; prints JSON.

python shared.py locks FOLDER SEED KILLS
python shared.py caches FOLDER SEED KILLS
python shared.py works FOLDER SEED KILLS
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from vae_cli.data.cache import Unfinished, cached_tensor
from vae_cli.data.dataset import Progress
from vae_cli.data.sharing import share_work
from vae_cli.locks import lock

WORKERS, SHAPE = 4, (60, 20)


def fork(work: Callable[..., None], *words: object) -> int:
    """Start a process that does some work and ends with 0, or with 9 if there is an error."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work(*words)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(9)
    os._exit(0)


def contend(folder: Path, seed: int) -> None:
    """Take a lock again and again; in between, nobody else may write into its file."""
    draw, holder = random.Random(seed), folder / "holder"
    while True:
        try:
            handle = lock(folder)
        except BlockingIOError:
            time.sleep(draw.uniform(0, 0.0005))
            continue
        assert handle is not None
        mine = f"{os.getpid()}"
        holder.write_text(mine)
        with (folder / "held").open("a") as held:
            held.write("x")
        time.sleep(draw.uniform(0, 0.002))
        if holder.read_text() != mine:
            (folder / "overlap").touch()
        os.close(handle)


def try_locks(folder: Path, draw: random.Random, kills: int) -> dict[str, int]:
    """Kill processes that take a lock in turns, and replace each of them."""
    workers = [fork(contend, folder, draw.randrange(2**32)) for _ in range(WORKERS)]
    for _ in range(kills):
        time.sleep(draw.uniform(0.01, 0.03))
        place = draw.randrange(WORKERS)
        os.kill(workers[place], signal.SIGKILL)
        os.waitpid(workers[place], 0)
        workers[place] = fork(contend, folder, draw.randrange(2**32))
    before = (folder / "held").stat().st_size
    time.sleep(0.3)
    is_stuck = (folder / "held").stat().st_size == before
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return {"kills": kills, "overlaps": (folder / "overlap").exists(), "stuck": is_stuck}


def build(seed: int) -> None:
    """Fill a cache entry slowly; some rows cannot be read at first. Check what it holds."""
    draw = random.Random(seed)

    def write(array: np.ndarray, rows: list[int]) -> object:
        unread = []
        for row in rows:
            time.sleep(draw.uniform(0, 0.001))
            if draw.random() < 0.02:
                unread.append(row)
            else:
                array[row] = row
        return Unfinished({"unread": unread}) if unread else {"unread": []}

    tensor, facts = cached_tensor(
        "key",
        SHAPE,
        fill=lambda array: write(array, list(range(SHAPE[0]))),
        refill=lambda array, facts: write(array, facts["unread"]),
    )
    for row in set(range(SHAPE[0])) - set(facts["unread"]):
        assert (tensor[row] == row).all(), f"row {row} is wrong"


def try_caches(folder: Path, draw: random.Random, kills: int) -> dict[str, int]:
    """Kill processes that fill a cache entry, until it is finished; then begin with another."""
    found = {"kills": 0, "entries": 0, "failed": 0, "leftovers": 0}
    while found["kills"] < kills:
        os.environ["VAE_DATA"] = str(folder / str(found["entries"]))
        found["entries"] += 1
        for _ in range(100):
            workers = [fork(build, draw.randrange(2**32)) for _ in range(WORKERS)]
            for pid in workers:
                if draw.random() < 0.5:
                    time.sleep(draw.uniform(0, 0.05))
                    os.kill(pid, signal.SIGKILL)
            codes = [os.waitpid(pid, 0)[1] for pid in workers]
            found["kills"] += sum(map(os.WIFSIGNALED, codes))
            found["failed"] += sum(os.WIFEXITED(code) and code != 0 for code in codes)
            if Path(os.environ["VAE_DATA"], "key.json").exists():
                break
        cached_tensor("next", SHAPE, fill=lambda array: array.fill(1))  # sweeps what is left behind
        names = {path.name for path in Path(os.environ["VAE_DATA"]).iterdir()}
        kept = {"key.npy", "key.json", "key.lock", "next.npy", "next.json"}
        found["leftovers"] += len(names - kept)
    return found


def take_part(seed: int, name: str) -> None:
    """Do the work of a training slowly, or take what another process has, and use it."""
    draw = random.Random(seed)

    def work(progress: Progress) -> torch.Tensor:
        rows = torch.empty(SHAPE)
        for row in range(len(rows)):
            time.sleep(draw.uniform(0, 0.001))
            progress(row, len(rows))
            rows[row] = row
        return rows

    found = share_work(name, work)
    expected = torch.arange(SHAPE[0])[:, None]
    assert (found == expected).all(), "a row is wrong"
    time.sleep(draw.uniform(0, 0.05))
    assert (found == expected).all(), "a row has changed after its process was killed"
    del found


def try_works(folder: Path, draw: random.Random, kills: int) -> dict[str, int]:
    """Kill some of the processes of a training, whichever of them does the work of all."""
    os.environ |= {"VAE_DATA": str(folder), "RANK": "0", "LOCAL_RANK": "0"}
    os.environ |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(WORKERS))
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    found = {"kills": 0, "failed": 0, "leftovers": 0, "rounds": 0}
    while found["kills"] < kills:
        found["rounds"] += 1
        name = str(found["rounds"])
        workers = [fork(take_part, draw.randrange(2**32), name) for _ in range(WORKERS)]
        for pid in workers[1:]:
            if draw.random() < 0.5:
                time.sleep(draw.uniform(0, 0.05))
                os.kill(pid, signal.SIGKILL)
        codes = [os.waitpid(pid, 0)[1] for pid in workers]
        found["kills"] += sum(map(os.WIFSIGNALED, codes))
        found["failed"] += sum(os.WIFEXITED(code) and code != 0 for code in codes)
    take_part(0, "last")  # removes what is left behind
    found["leftovers"] = len(list(folder.iterdir()))
    return found


if __name__ == "__main__":
    attempt = {"locks": try_locks, "caches": try_caches, "works": try_works}[sys.argv[1]]
    found = attempt(Path(sys.argv[2]), random.Random(int(sys.argv[3])), int(sys.argv[4]))
    sys.stdout.write(json.dumps(found))
