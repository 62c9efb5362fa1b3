"""How fast trainings are beside each other, compared with one that has the computer for itself.

    python tests/benchmarks/beside.py                  three at once, as `vae` is
    python tests/benchmarks/beside.py --policy spin    one of the policies that it is compared with
    python tests/benchmarks/beside.py --policy vae --policy spin --policy sleep --policy one
    python tests/benchmarks/beside.py --count 2 --processes 2    one of two has two processes

In each turn, every policy trains alone and then several times at once. The fair share of one of
three is three times what one alone takes with `spin`, which is how torch waits without `vae`; of
one in several processes, three times what that takes alone. The seconds are those of an epoch's
training in `metrics.csv`, without the evaluation after it.

The policies differ only in variables of the environment:

    vae     nothing: the threads spin, and sleep while the cores are shared
    spin    threads spin for some milliseconds before they sleep: the default of OpenMP
    short   threads spin for a tenth of that time
    sleep   threads never spin
    one     one thread for each training
"""

import argparse
import csv
import os
import statistics
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

VAE = str(Path(sysconfig.get_path("scripts")) / "vae")
POLICIES = {
    "vae": {},
    "spin": {"GOMP_SPINCOUNT": "300000"},
    "short": {"GOMP_SPINCOUNT": "30000"},
    "sleep": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one": {"OMP_NUM_THREADS": "1"},
}
FAIR = 1.3  # times the fair share, at most
ALONE = 1.03  # times the seconds of `spin` alone, at most


def train(
    count: int, policy: str, *, epochs: int, items: int, folder: str, processes: int = 1
) -> list[float]:
    """Train `count` times at once; returns the median seconds of an epoch of each training.

    The first training has so many processes. The first epoch is left out, and so are the last ones
    if there are several trainings, because the slower of them may be alone by then.
    """
    own = {name: text for name, text in os.environ.items() if not name.startswith(("OMP", "GOMP"))}
    words = [VAE, "train", "-q", "--limit", str(items), "--epochs", str(epochs)]
    words += ["--precision", "float32", "--save-every", "1000m", "--name"]
    before = len(list(Path(folder).glob("runs/*")))
    names = [f"run-{before + number}" for number in range(count)]
    trainings = [
        subprocess.Popen(
            [*words, name, "--processes", str(1 if number else processes)],
            cwd=folder,
            env=own | POLICIES[policy],
        )
        for number, name in enumerate(names)
    ]
    if any(training.wait() for training in trainings):
        raise SystemExit("a training failed")
    counted = slice(1, None) if count == 1 else slice(1, 1 + epochs // 2)
    return [statistics.median(read_seconds(Path(folder, "runs", n))[counted]) for n in names]


def read_seconds(run: Path) -> list[float]:
    """The seconds of each epoch of a run."""
    with (run / "metrics.csv").open() as file:
        return [float(row["seconds"]) for row in csv.DictReader(file)]


def main(report: Callable[..., None]) -> None:
    """Take turns, and print the medians and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--policy", action="append", choices=POLICIES, help="repeat for several")
    parser.add_argument("--count", type=int, default=3, help="trainings at once; default 3")
    parser.add_argument("--turns", type=int, default=3, help="default 3")
    parser.add_argument("--epochs", type=int, default=20, help="of each training; default 20")
    parser.add_argument("--items", type=int, default=15_000, help="of each training set")
    parser.add_argument("--processes", type=int, default=1, help="of the first one; default 1")
    options = parser.parse_args()
    how = {"epochs": options.epochs, "items": options.items}
    policies = list(dict.fromkeys([*(options.policy or ["vae"]), "spin"]))
    alone: dict[str, list[float]] = {policy: [] for policy in policies}
    beside: dict[str, list[float]] = {policy: [] for policy in policies}
    divided: dict[str, list[tuple[float, float]]] = {policy: [] for policy in policies}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.turns):
            for policy in policies:
                alone[policy] += train(1, policy, folder=folder, **how)
            for policy in options.policy or ["vae"]:
                several = {"folder": folder, "processes": options.processes, **how}
                found = train(options.count, policy, **several)
                if options.processes > 1:
                    divided[policy].append((*train(1, policy, **several), found.pop(0)))
                beside[policy].append(max(found))
    reference = statistics.median(alone["spin"])
    report(f"{os.cpu_count()} cores; seconds an epoch of {options.items:,} images, medians")
    report(f"spin alone: {reference:.2f}; fair share of {options.count}: ", end="")
    report(f"{options.count * reference:.2f}")
    for policy in options.policy or ["vae"]:
        one, slowest = statistics.median(alone[policy]), statistics.median(beside[policy])
        report(
            f"{policy:5} alone {one:.2f} ({one / reference:.3f} of spin, at most {ALONE}); "
            f"{options.count} at once {slowest:.2f}, the slowest "
            f"({slowest / reference / options.count:.2f} of the fair share, at most {FAIR})"
        )
        if divided[policy]:
            one, slow = (statistics.median(column) for column in zip(*divided[policy], strict=True))
            report(
                f"{policy:5} in {options.processes} processes alone {one:.2f}; beside the others "
                f"{slow:.2f} ({slow / one / options.count:.2f} of the fair share)"
            )


if __name__ == "__main__":
    main(Console(soft_wrap=True, highlight=False).print)
