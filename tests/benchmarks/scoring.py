"""Which score finds strange images: the AUROC of each, for a run on Fashion-MNIST.

`python tests/benchmarks/scoring.py NAME` prints the table of docs/scoring.md for a run. It needs
scikit-learn, whose digits are one of the strange sets.
"""

import argparse

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import Tensor

from vae_cli import load
from vae_cli.api.evaluation import open_subject
from vae_cli.data.split import InMemory
from vae_cli.evaluation.likelihood import encode
from vae_cli.evaluation.scores import SAMPLES, SCORE_NAMES, Measures, compute_score, measure

HELD_OUT, ITEMS = 2000, 1000  # images that the scores are fitted to, and images of each other set


def digits() -> Tensor:
    """Handwritten digits of scikit-learn, enlarged from 8x8 to 28x28 pixels."""
    found = []
    for image in load_digits().images[:ITEMS]:
        small = Image.fromarray((image * 255 / 16).astype(np.uint8))
        found.append(np.array(small.resize((28, 28), Image.Resampling.BILINEAR)))
    return torch.from_numpy(np.stack(found))[:, None]


def strange_sets(test: Tensor) -> dict[str, Tensor]:
    """Sets of images uint8 `(N, 1, 28, 28)` that are not clothes, some made from the test set."""
    generator = torch.Generator().manual_seed(0)
    first = HELD_OUT + ITEMS
    shuffled = test[first : first + ITEMS].flatten(1)
    order = torch.rand(shuffled.shape, generator=generator).argsort(1)
    return {
        "digits": digits(),
        "noise": torch.randint(256, (ITEMS, 1, 28, 28), generator=generator).to(torch.uint8),
        "inverted": 255 - test[first + ITEMS : first + 2 * ITEMS],
        "constant": torch.arange(256, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 28, 28),
        "shuffled": shuffled.gather(1, order).view(-1, 1, 28, 28),
        "upside down": test[first + 2 * ITEMS : first + 3 * ITEMS].flip(2),
    }


def auroc(ordinary: Tensor, strange: Tensor) -> float:
    """The share of pairs in which the strange image has the higher score."""
    truth = [0] * len(ordinary) + [1] * len(strange)
    return float(roc_auc_score(truth, torch.cat([ordinary, strange])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    arguments = parser.parse_args()
    model = load(arguments.run)
    subject = open_subject(model)
    train = encode(model.model, subject.train).mean

    def measure_images(images: Tensor) -> Measures:
        split = model.prepare(InMemory.whole(images))
        return measure(model.model, split, train, arguments.samples, 0)

    test = subject.test.split.items[subject.test.split.rows]
    held_out = measure_images(test[:HELD_OUT])
    ordinary = measure_images(test[HELD_OUT : HELD_OUT + ITEMS])
    strange = {name: measure_images(images) for name, images in strange_sets(test).items()}
    print(f"| {arguments.run} |", *(f"{name} |" for name in strange), "lowest |")  # noqa: T201
    for name in SCORE_NAMES:
        usual = compute_score(name, ordinary, held_out)
        values = [auroc(usual, compute_score(name, one, held_out)) for one in strange.values()]
        cells = (f"{value:.3f} |" for value in (*values, min(values)))
        print(f"| `{name}` |", *cells)  # noqa: T201


if __name__ == "__main__":
    main()
