"""How fast training is, compared with other programs and with the lower limit of this computer.

    python tests/benchmarks/speed.py               seconds per epoch, start-up time, memory
    python tests/benchmarks/speed.py --whole       also 20 whole epochs, ours and the article's
    python tests/benchmarks/speed.py --conv        the convolutional network against a plain loop
    python tests/benchmarks/speed.py --objectives  every objective against a plain loop
    python tests/benchmarks/speed.py --device cuda

The contestants take turns of 47 batches, because the speed of a computer changes with time. A ratio
is the median over turns.
"""

import argparse
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
import contestants
from contestants import EPOCH, TURN

from vae_cli.device import resolve_device
from vae_cli.training.precision import has_native_bfloat16

VAE = str(Path(sysconfig.get_path("scripts")) / "vae")
BARE_TYPER = """import typer
app = typer.Typer()
@app.command()
def one(epochs: int = 20): "Do one thing."
@app.command()
def two(epochs: int = 20): "Do another."
app()"""


def take_turns(
    racers: dict[str, Iterator[None]], turns: int, device: str
) -> dict[str, list[float]]:
    """The seconds of every turn of every racer, after two turns to warm up."""
    times: dict[str, list[float]] = {name: [] for name in racers}
    for turn in range(turns + 2):
        for name, racer in racers.items():
            start = time.perf_counter()
            next(racer)
            if device == "cuda":
                torch.cuda.synchronize()
            if turn > 1:
                times[name].append(time.perf_counter() - start)
    return times


def ratio(times: list[float], reference: list[float]) -> float:
    """The median, over turns, of one racer's time over another's."""
    return statistics.median(a / b for a, b in zip(times, reference, strict=True))


def epochs(turns: int, device: str) -> Table:
    """Seconds per epoch, and the ratio of each contestant to ours."""
    racers = {
        "vae": contestants.ours(device),
        "article's loop": contestants.article(device),
        "floor: matrix products alone": contestants.floor(device=device),
    }
    if has_native_bfloat16() or device == "cuda":
        racers["vae, bfloat16"] = contestants.ours(device, dtype=torch.bfloat16)
        racers["floor, bfloat16"] = contestants.floor(torch.bfloat16, device)
    if find_spec("pythae"):
        racers["pythae, data in memory"] = contestants.pythae(device)
    times = take_turns(racers, turns, device)
    table = Table("float32, batch 128", "s per epoch", "images/s", "over vae's time", box=None)
    for name, seconds in times.items():
        epoch = statistics.median(seconds) * EPOCH / TURN
        table.add_row(
            name, f"{epoch:.3f}", f"{60_000 / epoch:,.0f}", f"{ratio(seconds, times['vae']):.2f}"
        )
    return table


def convolutions(turns: int) -> Table:
    """Seconds per epoch of the convolutional network, ours and in a plain training loop."""
    racers = {
        "vae, conv": contestants.ours(network="conv"),
        "the same layers in a plain loop": contestants.by_hand("conv"),
        "vae, mlp": contestants.ours(),
    }
    times = take_turns(racers, turns, "cpu")
    table = Table("--preset small, batch 128", "s per epoch", "over vae's conv", box=None)
    for name, seconds in times.items():
        epoch = statistics.median(seconds) * EPOCH / TURN
        table.add_row(name, f"{epoch:.2f}", f"{ratio(seconds, times['vae, conv']):.2f}")
    return table


def objectives(turns: int) -> Table:
    """Seconds per epoch of every objective, ours and in a plain training loop."""
    table = Table("float32, batch 128", "s per epoch", "a plain loop over vae", box=None)
    for name in ("elbo", "capacity", "iwae", "dreg", "miwae", "ciwae", "piwae", "tc", "mmd", "dip"):
        racers = {
            "vae": contestants.ours(objective=name),
            "plain": contestants.by_hand(objective=name),
        }
        times = take_turns(racers, turns, "cpu")
        epoch = statistics.median(times["vae"]) * EPOCH / TURN
        table.add_row(name, f"{epoch:.2f}", f"{ratio(times['plain'], times['vae']):.2f}")
    racers = {"vae": contestants.ours(objective="iwae"), "plain": contestants.iwae_by_hand()}
    times = take_turns(racers, turns, "cpu")
    table.add_row("iwae, written by hand", "", f"{ratio(times['plain'], times['vae']):.2f}")
    return table


def growth(turns: int) -> float:
    """How many times as long ten times the images take; all turns have equally many batches."""
    whole = 60_000 // (contestants.BATCH * TURN)  # copies of a turn's images that make the data set
    racers = {"one": contestants.ours(copies=whole), "ten": contestants.ours(copies=10 * whole)}
    times = take_turns(racers, turns, "cpu")
    return 10 * ratio(times["ten"], times["one"])


def start_ups(times: int) -> Table:
    """Seconds of whole commands, compared with the least that such a command can take."""
    with tempfile.TemporaryDirectory() as home:
        run([VAE, "train", "--limit", "256", "--epochs", "1"], home)
        python = [sys.executable, "-c"]
        pairs = {
            "vae --help / a bare Typer app's": ([VAE, "--help"], [*python, BARE_TYPER, "--help"]),
            "vae sample / import torch": ([VAE, "sample"], [*python, "import torch"]),
        }
        table = Table("start to exit", "s", "s", "ratio", box=None)
        for name, commands in pairs.items():
            seconds = [[run(command, home)[0] for command in commands] for _ in range(times)]
            ours, least = (list(column) for column in zip(*seconds, strict=True))
            table.add_row(
                name,
                f"{statistics.median(ours):.2f}",
                f"{statistics.median(least):.2f}",
                f"{ratio(ours, least):.2f}",
            )
        return table


def memory() -> tuple[float, float]:
    """Peak resident MB of a training, and of `import torch` alone."""
    with tempfile.TemporaryDirectory() as home:
        trained = run([VAE, "train", "--epochs", "1"], home)[1]
        return trained, run([sys.executable, "-c", "import torch"], home)[1]


def run(command: list[str], folder: str) -> tuple[float, float]:
    """Seconds and peak resident MB of a command."""
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
        "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-S", "-c", watch, *command],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    kib = 1024 if sys.platform != "darwin" else 1024**2
    return time.perf_counter() - start, int(done.stdout) / kib


def whole() -> tuple[float, float]:
    """Seconds of `vae train --epochs 20`, start to exit, and of 20 epochs of the article's loop."""
    with tempfile.TemporaryDirectory() as home:
        ours = run([VAE, "train", "--epochs", "20"], home)[0]
    article = contestants.article()
    next(article)
    start = time.perf_counter()
    for _ in range(20 * EPOCH // TURN):
        next(article)
    return ours, time.perf_counter() - start


def main(report: Callable[..., None]) -> None:
    """Run the benchmarks that the options name, and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=40, help="turns of 47 batches; default 40")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--conv", action="store_true", help="the convolutional network alone")
    parser.add_argument("--objectives", action="store_true", help="every objective")
    parser.add_argument("--whole", action="store_true", help="20 whole epochs, several minutes")
    options = parser.parse_args()
    resolve_device(options.device)
    report(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.device}")
    for is_chosen, table in ((options.conv, convolutions), (options.objectives, objectives)):
        if is_chosen:
            report(table(options.turns))
            return
    report(epochs(options.turns, options.device))
    report(f"ten times the images take {growth(options.turns):.2f} times as long")
    report(start_ups(max(1, options.turns // 4)))
    trained, bare = memory()
    report(f"peak memory {trained:.0f} MB, {trained - bare:.0f} MB over that of import torch")
    if options.whole:
        ours, article = whole()
        report(f"20 epochs: vae {ours:.0f} s, article {article:.0f} s, {article / ours:.2f} times")


if __name__ == "__main__":
    main(Console().print)
