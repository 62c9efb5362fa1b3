"""How well the classes can be read from the latents: neighbours and a linear probe.

Both are fitted to the means of the training set and tested on those of the test set. Each latent
dimension is divided by its standard deviation first, for the probe only: distances between latents
have the scale that the model gave them.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vae_cli.evaluation.figures import Absent, Figure, Figures, all_absent, share
from vae_cli.evaluation.nearest import find_nearest

NEIGHBOURS = 5
PENALTY = 1e-4  # on the squared weights of the probe
MAX_ITERATIONS = 100
MIN_CHANGE = 1e-5  # of the loss in nats; the iterations end with a smaller one
ITEMS_PER_PARAMETER = 100  # of the probe
MAX_LOGITS = 50_000_000  # items times classes of the probe, which is computed some hundred times

FEATURE_NAMES = ("knn_accuracy", "probe_accuracy")


def feature_figures(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> Figures:
    """The accuracy of both classifiers.

    Args:
        train: means `(N, D)`.
        labels: int64 `(N,)`; empty if unknown.
        test: means `(M, D)`.
        test_labels: int64 `(M,)`.
    """
    if not (len(labels) and len(test_labels)):
        return all_absent(FEATURE_NAMES, "the items have no labels")
    if len(labels.unique()) == 1:
        return all_absent(FEATURE_NAMES, "all items have the same label")
    neighbours = classify_by_neighbours(train, labels, test)
    knn = share(
        neighbours == test_labels, f"accuracy of {NEIGHBOURS} nearest neighbours of the means"
    )
    classes = int(labels.max()) + 1
    if classes > MAX_LOGITS // classes:  # less than one item of each would be left
        probe: Figure | Absent = Absent(f"{classes:,} classes are too many for a linear probe")
    else:
        predicted = classify_linearly(train, labels, test)
        probe = share(predicted == test_labels, "accuracy of a linear classifier of the means")
    return {"knn_accuracy": knn, "probe_accuracy": probe}


def classify_by_neighbours(train: Tensor, labels: Tensor, test: Tensor) -> Tensor:
    """The most frequent label among the nearest neighbours, `(M,)`; the nearest decides a tie."""
    count = min(NEIGHBOURS, len(train))
    nearness = 0.4 * 0.5 ** torch.arange(count)  # less than one vote in all, the nearest most
    nearest = labels[find_nearest(test, train, count)]
    same = nearest[:, :, None] == nearest[:, None, :]  # the votes for the label of each neighbour
    best = (same * (1 + nearness)).sum(2).argmax(1, keepdim=True)
    return nearest.gather(1, best)[:, 0]


def classify_linearly(train: Tensor, labels: Tensor, test: Tensor) -> Tensor:
    """The labels `(M,)` that a softmax regression gives, fitted by L-BFGS.

    A random part of the items is enough: many for each parameter, and less with many classes.
    """
    mean, scale = train.mean(0), train.std(0).clamp(min=1e-6)
    inputs, classes = (train - mean) / scale, int(labels.max()) + 1
    weight = torch.zeros(train.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    count = min(ITEMS_PER_PARAMETER * (weight.numel() + classes), MAX_LOGITS // classes)
    part = torch.randperm(len(train), generator=Generator().manual_seed(0))[:count]
    fit_softmax(weight, bias, inputs[part], labels[part])
    return (((test - mean) / scale) @ weight.detach() + bias.detach()).argmax(1)


def fit_softmax(weight: Tensor, bias: Tensor, inputs: Tensor, labels: Tensor) -> None:
    """Minimize the cross-entropy of labels `(N,)` from inputs `(N, D)`."""
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MAX_ITERATIONS,
        tolerance_change=MIN_CHANGE,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        penalty = PENALTY * weight.square().sum()
        value = F.cross_entropy(torch.addmm(bias, inputs, weight), labels) + penalty
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
