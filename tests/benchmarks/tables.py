"""How good the synthetic rows of a table are, beside held-out rows and those of TVAE.

    python tests/benchmarks/tables.py TRAIN.csv TEST.csv --target price
    python tests/benchmarks/tables.py TRAIN.csv TEST.csv --target price --tvae 300
    python tests/benchmarks/tables.py TRAIN.csv TEST.csv --target price --beta 1

For each seed, `vae train` learns from the first file and `vae sample` writes 5,000 rows, for which
it fits its flow. What the script does not know, as `--beta 1`, is for `vae train`. TVAE (of the
package ctgan, if it is installed) learns from the same file for so many epochs, and `--beside`
names files of rows that another program has made.

The figures are those of `vae evaluate` (docs/tables.md), here with all rows of the first file as
training rows, and with those of the second as held-out ones. The last line is their ceiling: the
held-out rows in place of synthetic ones, and training rows for the usefulness. Copies of it are of
one half of the held-out rows, beside the other half. Seconds are those of the processor, with those
of the clock in brackets; other programs on the computer change the former less.
"""

import argparse
import resource
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vae_cli import load
from vae_cli.data.dataset import Spec
from vae_cli.data.table import read_table_like
from vae_cli.evaluation.copies import find_copies
from vae_cli.evaluation.similarity import compare_shapes, compare_trends
from vae_cli.evaluation.usefulness import choose_targets, predict_column

VAE = str(Path(sysconfig.get_path("scripts")) / "vae")
ROWS = 5000


class Real(NamedTuple):
    """The real rows `(N, D)` in random order, what their columns are, and which is predicted."""

    train: Tensor
    test: Tensor
    spec: Spec
    target: int


class Spent(NamedTuple):
    """Seconds of the processor and of the clock."""

    processor: float
    clock: float


class Result(NamedTuple):
    """The four figures of some rows, and what the training and the sampling took, if known."""

    figures: tuple[float, ...]
    seconds: tuple[Spent, ...] = ()


def spend(work: Callable[[], object]) -> Spent:
    """What a call takes, in this process and in those that it starts and waits for."""

    def processor() -> float:
        kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
        return sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)

    before, start = processor(), time.perf_counter()
    work()
    return Spent(processor() - before, time.perf_counter() - start)


def read(path: Path, spec: Spec) -> Tensor:
    """The rows of a file in random order, `(N, D)`."""
    rows = read_table_like(path, spec).rows
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]


def judge(rows: Tensor, real: Real) -> tuple[float, ...]:
    """Shapes, trends, usefulness and copies of synthetic rows `(N, D)`."""
    count = min(len(real.train), len(real.test))
    copies = find_copies(real.train[:count], real.test[:count], rows, real.spec.columns)
    return *compare(rows, real), predict(rows, real), copies.mean().item()


def judge_real(real: Real) -> tuple[float, ...]:
    """The same of real rows."""
    first, second = real.test.split(-(-len(real.test) // 2))
    copies = find_copies(real.train[: len(first)], first, second, real.spec.columns)
    return *compare(real.test, real), predict(real.train, real), copies.mean().item()


def compare(rows: Tensor, real: Real) -> tuple[float, float]:
    """How alike rows are to the training rows: their shapes and their trends."""
    columns = real.spec.columns
    shapes, trends = (f(real.train, rows, columns) for f in (compare_shapes, compare_trends))
    return shapes.value, trends.value


def predict(rows: Tensor, real: Real) -> float:
    """How well trees that learned from some rows predict the target of the held-out ones."""
    found = predict_column(rows, real.test, real.spec.columns, real.target)
    return found.score(torch.arange(len(real.test))) if found else float("nan")


def run_vae(train: Path, seed: int, words: Sequence[str], folder: Path) -> tuple[Spent, Spent]:
    """Train a model, and write rows to a file of the name of the seed; returns what they took."""

    def run(*command: str) -> None:
        call = [VAE, *command, "--seed", str(seed), "--quiet"]
        if subprocess.run(call, cwd=folder, check=False, stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(f"vae {command[0]} failed")

    name = f"seed-{seed}"
    training = spend(lambda: run("train", "--data", str(train), "--name", name, *words))
    sampling = ("sample", "--run", name, "-n", str(ROWS), "-o", f"{name}.csv")
    return training, spend(lambda: run(*sampling))


def run_tvae(train: Path, seed: int, epochs: int, output: Path) -> tuple[Spent, Spent]:
    """The same with TVAE, for which texts and truth values are categories."""
    from ctgan import TVAE

    table = pd.read_csv(train)
    categories = list(table.select_dtypes(exclude="number"))
    torch.manual_seed(seed)
    model = TVAE(epochs=epochs, enable_gpu=False)
    training = spend(lambda: model.fit(table, categories))
    return training, spend(lambda: model.sample(ROWS).to_csv(output, index=False))


def measure(options: argparse.Namespace, words: Sequence[str]) -> Iterator[tuple[str, Result]]:
    """The result of each method and seed, as soon as it is known."""
    with tempfile.TemporaryDirectory() as place:
        folder, train = Path(place), options.train.resolve()
        for seed in range(options.seeds):
            seconds = run_vae(train, seed, words, folder)
            if not seed:
                spec = load(folder / "runs" / "seed-0").spec
                target = choose_targets(spec.columns, options.target, 0)[0]
                real = Real(read(train, spec), read(options.test, spec), spec, target)
            yield "vae", Result(judge(read(folder / f"seed-{seed}.csv", spec), real), seconds)
        for seed in range(options.seeds if options.tvae and find_spec("ctgan") else 0):
            output = folder / f"tvae-{seed}.csv"
            seconds = run_tvae(train, seed, options.tvae, output)
            yield f"TVAE, {options.tvae} epochs", Result(judge(read(output, spec), real), seconds)
        for path in options.beside:
            yield "beside", Result(judge(read(path, spec), real))
        yield "real", Result(judge_real(real))


def summarize(results: Sequence[Result]) -> list[str]:
    """The mean of each figure and its standard deviation over seeds, and the mean seconds."""
    cells = []
    for values in zip(*(one.figures for one in results), strict=True):
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.3f}{spread}")
    for times in zip(*(one.seconds for one in results), strict=True):
        processor, clock = (statistics.mean(kind) for kind in zip(*times, strict=True))
        cells.append(f"{processor:.1f} ({clock:.1f})")
    return cells


def main(report: Callable[..., None]) -> None:
    """Measure, and print a line for each training, and a table of the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("train", type=Path, help="the table that is learned")
    parser.add_argument("test", type=Path, help="other rows of it")
    parser.add_argument("--target", required=True, help="the column that is predicted")
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings; default 3")
    parser.add_argument("--tvae", type=int, default=0, help="epochs of TVAE; default: without it")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="files of other rows")
    results: dict[str, list[Result]] = {}
    for name, result in measure(*parser.parse_known_args()):
        results.setdefault(name, []).append(result)
        report(name, *summarize([result]))
    names = ("shapes", "trends", "usefulness", "copies", "training, s", "sampling, s")
    table = Table("mean over seeds", *names, box=None)
    for name, some in results.items():
        table.add_row(name, *summarize(some))
    report(table)


if __name__ == "__main__":
    main(Console(width=120).print)
