"""A small classifier of the data, whose features compare samples with items.

Its last hidden layer is to these data what an Inception network is to photographs. It is trained
with a fixed seed, so that two runs on the same data are compared by the same features, as far as
the processor allows.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from vae_cli.data.dataset import Split
from vae_cli.evaluation.kept import digest_split, keep, recall

HIDDEN, FEATURES = 128, 64
STEPS = 600
BATCH_SIZE = 128
LEARNING_RATE = 4e-3
SEED = 0
MAX_EDGE = 32  # pixels; larger images are averaged to this size first


@final
class Classifier(nn.Module):
    """Dense layers: an item, 128 hidden units, 64 features, and the classes.

    Args:
        shape: `(C, H, W)` or `(D,)`.
        classes: the number of classes.
    """

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        sizes, pool = list(shape), cast("nn.Module", nn.Identity())
        if len(shape) > 1:
            sizes[1:] = [min(MAX_EDGE, side) for side in shape[1:]]
            if sizes != list(shape):  # where nothing changes, it would take a third of the time
                pool = nn.AdaptiveAvgPool2d(tuple(sizes[1:]))
        self.layers = nn.Sequential(
            pool,
            nn.Flatten(),
            nn.Linear(math.prod(sizes), HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, FEATURES),
            nn.ReLU(),
        )
        self.project = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer for items `(B, ...)`: `(B, 64)`."""
        features: Tensor = self.layers(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """The logits of the classes, `(B, classes)`."""
        logits: Tensor = self.project(self.features(x))
        return logits


def fitted_classifier(train: Split, classes: int, device: torch.device, folder: Path) -> Classifier:
    """The classifier of a run's data, trained and kept in its folder if it is not there yet."""
    path, digest = folder / "classifier.safetensors", digest_split(train)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        classifier = Classifier(train.items.shape[1:], classes)
    found = recall(path, classifier, digest)
    if found is None:
        found = train_classifier(classifier.to(device), train)
        keep(path, found, digest)
    return found.to(device).eval()


def train_classifier(classifier: Classifier, train: Split) -> Classifier:
    """Train for a fixed number of steps on random batches of a set with labels."""
    generator, device = Generator().manual_seed(SEED), next(classifier.parameters()).device
    optimizer = torch.optim.Adam(classifier.parameters(), fused=True)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    with torch.enable_grad():
        for _ in range(STEPS):
            places = torch.randint(len(train), (BATCH_SIZE,), generator=generator)
            x = train.network_input(train.rows[places]).to(device)
            optimizer.zero_grad()
            F.cross_entropy(classifier(x), train.labels[places].to(device)).backward()
            optimizer.step()
            rates.step()
    return classifier
