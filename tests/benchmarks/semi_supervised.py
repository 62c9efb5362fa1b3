"""Learning from few labels: M2 beside its own classifier, trained on the labels alone.

    python tests/benchmarks/semi_supervised.py COUNTS SEEDS [--limit 10000 --hidden 200 ...]
    python tests/benchmarks/semi_supervised.py 100,1000 0,1,2 --limit 10000 --epochs 20

Of the training images of Fashion-MNIST, all but COUNTS lose their labels, by the seed. M2 learns
from all images, and its accuracy is that after the last epoch. The other classifier has the same
layers, and learns from the images with labels: for several rates of Adam, with many more steps than
it needs. Its accuracy is the best of all rates and looks, as if the test set were allowed to stop
it. Both are tested on the 10,000 test images. Other words are for `vae train`.
"""

import csv
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor
from torch.nn import functional as F

from vae_cli import load
from vae_cli.api.model import TrainedModel
from vae_cli.cli._app import main
from vae_cli.data.dataset import ignore_progress
from vae_cli.data.labelled import hide_labels

RATES = 3e-3, 1e-3, 3e-4
STEPS, BATCH, LOOK = 3000, 100, 100  # of each rate; a look at the test set after so many steps
NAME = "m2"
Sets = tuple[Tensor, Tensor, Tensor, Tensor]  # images and classes to learn from, and to test


def train_m2(count: int, seed: int, words: list[str]) -> TrainedModel:
    """A run named NAME in the current folder, with so many labels."""
    few = ["--condition", "label", "--objective", "m2", "--set", f"data.labelled={count}"]
    assert main(["train", *few, "--seed", str(seed), "--name", NAME, "-q", *words]) == 0
    return load(NAME)


def last_accuracy() -> float:
    """The accuracy of the classifier of M2 after the last epoch."""
    with Path("runs", NAME, "metrics.csv").open() as file:
        return float(list(csv.DictReader(file))[-1]["test_accuracy"])


def labelled_sets(model: TrainedModel) -> Sets:
    """The training images with labels, and the test images."""
    plan = model.settings
    data = plan.data.open(ignore_progress)
    train, test = data.parts.train.head(plan.data.limit or None), data.test()
    train = hide_labels(train, data.spec, plan.data.labelled, plan.training.seed)
    assert train.condition is not None
    places = (~train.condition[:, 0].isnan()).nonzero()[:, 0]
    x, tested = (model.model.codec.encode(part.items[part.rows]) for part in (train, test))
    return x[places], train.condition[places, 0].long(), tested, test.labels


def best_accuracy(model: TrainedModel, sets: Sets, rate: float) -> float:
    """The best accuracy on the test set of a new classifier with the layers of that of M2."""
    x, y, tested, classes = sets
    noise = torch.Generator().manual_seed(model.settings.training.seed)
    torch.manual_seed(model.settings.training.seed)
    network = model.settings.build_model(model.spec).classifier
    assert network is not None
    optimizer, best, step = torch.optim.Adam(network.parameters(), rate), 0.0, 0
    while step < STEPS:
        for some in torch.randperm(len(x), generator=noise).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(network(x[some]), y[some]).backward()
            optimizer.step()
            step += 1
            if step % LOOK == 0:
                with torch.no_grad():
                    right = network(tested).argmax(1) == classes
                best = max(best, right.double().mean().item())
    return best


def compare(count: int, seed: int, words: list[str]) -> tuple[float, float]:
    """The accuracy of M2, and the best one of its classifier on the labels alone."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        start = time.process_time()
        model = train_m2(count, seed, words)
        accuracy, seconds = last_accuracy(), time.process_time() - start
        alone = max(best_accuracy(model, labelled_sets(model), rate) for rate in RATES)
    print(f"{count} labels, seed {seed}: m2 {accuracy:.4f} ({seconds:.0f} s), alone {alone:.4f}")  # noqa: T201
    sys.stdout.flush()
    return accuracy, alone


if __name__ == "__main__":
    counts, seeds, *others = sys.argv[1:]
    for number in map(int, counts.split(",")):
        pairs = [compare(number, int(one), others) for one in seeds.split(",")]
        for title, some in zip(("m2", "alone"), zip(*pairs, strict=True), strict=True):
            spread = stdev(some) if len(some) > 1 else float("nan")
            print(f"{number} labels, {title}: {mean(some):.4f} ± {spread:.4f}")  # noqa: T201
