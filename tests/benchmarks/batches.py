"""The held-out ELBO of larger batches, for three ways to scale the learning rate with them.

    python tests/benchmarks/batches.py mlp                          10 epochs of Fashion-MNIST each
    python tests/benchmarks/batches.py conv --items 16384 --epochs 8
    python tests/benchmarks/batches.py mlp --same-steps --rule sqrt --batch-size 512

Several processes are worth their price if each has enough items, so a batch is made larger, and a
training then has fewer steps. The rate of 128 items, which is the default, is

    unscaled   kept
    sqrt       multiplied by √(B / 128), for optimizers that divide a gradient by its size
               (Malladi et al., 2022, https://arxiv.org/abs/2205.10287)
    linear     multiplied by B / 128, for gradient descent (Goyal et al., 2017,
               https://arxiv.org/abs/1706.02677)

and rises to that value in the warm-up of the settings. With `--same-steps`, a batch that is k times
as large gets k times the epochs.
"""

import argparse
import math
import statistics
import sys
import warnings
from typing import Literal, assert_never

import torch

from vae_cli.errors import NonFiniteLossError
from vae_cli.runs.resolve import resolve
from vae_cli.runs.train import fit_resolved
from vae_cli.settings import merge
from vae_cli.training import EpochReport

Rule = Literal["unscaled", "sqrt", "linear"]
RULES: tuple[Rule, ...] = ("unscaled", "sqrt", "linear")
REFERENCE, RATE = 128, 5e-3  # items of a batch, and their learning rate: the defaults
BATCH_SIZES = (128, 512, 2048, 8192)


def scale(rule: Rule, batch_size: int) -> float:
    """The learning rate of a batch."""
    ratio = batch_size / REFERENCE
    match rule:
        case "unscaled":
            return RATE
        case "sqrt":
            return RATE * math.sqrt(ratio)
        case "linear":
            return RATE * ratio
        case _:
            assert_never(rule)


def train(
    network: str, items: int, *, epochs: int, batch_size: int, rate: float, seed: int
) -> float:
    """The held-out ELBO after the last epoch, in nats; not a number if the training diverges."""
    tables = {
        "data": {"name": "fashion-mnist", "limit": items},
        "model": {"network": network},
        "optimizer": {"learning_rate": rate},
        "training": {
            "epochs": epochs,
            "batch_size": batch_size,
            "seed": seed,
            "precision": "float32",
        },
    }
    resolved = resolve(merge(("", tables)), torch.device("cpu"))
    reports: list[EpochReport] = []
    try:
        fit_resolved(resolved.initial_state(), resolved, reports.append, lambda *_: None)
    except NonFiniteLossError:
        return math.nan
    return reports[-1].test.elbo


def compare(options: argparse.Namespace) -> None:
    """Print a line for each batch size and rule."""
    for batch_size in options.batch_size or BATCH_SIZES:
        factor = batch_size // REFERENCE if options.same_steps else 1
        for rule in (options.rule or RULES) if batch_size != REFERENCE else RULES[:1]:
            rate = scale(rule, batch_size)
            found = [
                train(
                    options.network,
                    options.items,
                    epochs=factor * options.epochs,
                    batch_size=batch_size,
                    rate=rate,
                    seed=seed,
                )
                for seed in options.seed or (0, 1)
            ]
            mean, each = statistics.mean(found), ", ".join(f"{elbo:.2f}" for elbo in found)
            sys.stdout.write(
                f"{options.network}, batch {batch_size}, {factor * options.epochs} epochs, "
                f"{rule} rate {rate:.4g}: {mean:.2f} ({each})\n"
            )
            sys.stdout.flush()


def main() -> None:
    """Read the options, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("network", choices=["mlp", "conv"])
    parser.add_argument("--items", type=int, default=0, help="of the training set; default all")
    parser.add_argument("--epochs", type=int, default=10, help="of 128 items a step; default 10")
    parser.add_argument("--batch-size", type=int, action="append", help="repeat for several")
    parser.add_argument("--rule", choices=RULES, action="append", help="repeat for several")
    parser.add_argument("--seed", type=int, action="append", help="default 0 and 1")
    parser.add_argument("--same-steps", action="store_true", help="more epochs of larger batches")
    compare(parser.parse_args())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
