"""Features: numbers that say what an item shows, and how well classes can be read from them.

Samples are compared with items by the features of an `Extractor`. There are two:

    classifier   the last hidden layer of a small network that learns the classes of the data. It is
                 to these data what an Inception network is to photographs. It is trained with a
                 fixed seed, so that two runs on the same data are compared by the same features, as
                 far as the processor allows.
    inception    the Inception network, by which papers compare images. The network and its weights
                 are those of torch-fidelity, which are those of the first paper (Heusel et al.,
                 2017) in another format. It resizes images to 299x299 pixels itself. The weights
                 are downloaded once to the folder where torch keeps such files.

`feature_figures` is about the latents as features: how well the classes can be read from them, by
nearest neighbours and by a linear probe. Both are fitted to the means of the training set and
tested on those of the test set. Each latent dimension is divided by its standard deviation first,
for the probe only: distances between latents have the scale that the model gave them.
"""

import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError, VAEError, mark
from vae_cli.evaluation.figures import (
    Absent,
    Figure,
    Figures,
    all_absent,
    figures_of_first,
    share,
)
from vae_cli.evaluation.fitted_models import digest_split, keep, recall
from vae_cli.evaluation.sharing import share_rows, wait_for_first
from vae_cli.evaluation.subject import Subject
from vae_cli.files import open_file
from vae_cli.training.world import ALONE, World

CHUNK_ITEMS = 32  # times 60,000 points: 8 MB, which fit into a cache
BLOCK = 128  # points whose smallest distance is found first


def find_nearest(queries: Tensor, points: Tensor, count: int) -> Tensor:
    """The places of the nearest points of each query, the nearest first: int64 `(M, count)`.

    The minimum of a block of distances takes much less time than a partial sort. The `count`
    smallest distances are in the `count` blocks with the smallest minima, so only these are sorted.

    Args:
        queries: `(M, D)`.
        points: `(N, D)`.
        count: at most N.
    """
    centre = points.mean(0)  # near 0, the sums of products lose no digits
    padded = torch.nn.functional.pad(points - centre, (0, 1, 0, -len(points) % BLOCK))
    padded[:, -1] = 0.5 * padded.square().sum(1)
    padded[len(points) :, -1] = torch.inf
    minus_queries = torch.nn.functional.pad(centre - queries, (0, 1), value=1.0)
    return torch.cat(
        [_smallest(some @ padded.T, count) for some in minus_queries.split(CHUNK_ITEMS)]
    )


def _smallest(values: Tensor, count: int) -> Tensor:
    """The places of the smallest values of each row `(M, N)`, the smallest first."""
    blocks = values.view(len(values), -1, BLOCK)
    chosen = blocks.amin(2).topk(min(count, blocks.shape[1]), largest=False).indices
    kept = blocks.gather(1, chosen[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    places = kept.topk(count, largest=False).indices
    return chosen.gather(1, places // BLOCK) * BLOCK + places % BLOCK


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
        shape: of encoded items: `(C, H, W)` or `(W,)`.
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


def fitted_classifier(
    train: InMemory, classes: int, device: torch.device, folder: Path, world: World = ALONE
) -> Classifier:
    """The classifier of a run's data, trained and kept in its folder if it is not there yet.

    Process 0 does it, and all have the same weights then.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        classifier = Classifier(train.network_input(train.rows[:1]).shape[1:], classes).to(device)
    if world.rank == 0:
        recall_or_train(classifier, train, folder / "classifier.safetensors")
    wait_for_first(world)
    world.copy(list(classifier.state_dict().values()))
    return classifier.eval()


def recall_or_train(classifier: Classifier, train: InMemory, path: Path) -> None:
    """Give a new classifier the weights that were kept, or train it and keep it."""
    digest = digest_split(train)
    if recall(path, classifier, digest) is None:
        train_classifier(classifier, train)
        keep(path, classifier.state_dict(), digest)


def train_classifier(classifier: Classifier, train: InMemory) -> Classifier:
    """Train for a fixed number of steps on random batches of a set, of what has a label."""
    generator, device = Generator().manual_seed(SEED), next(classifier.parameters()).device
    optimizer = torch.optim.Adam(classifier.parameters(), fused=True)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    labelled = (train.labels >= 0).nonzero()[:, 0]
    with torch.enable_grad():
        for _ in range(STEPS):
            places = labelled[torch.randint(len(labelled), (BATCH_SIZE,), generator=generator)]
            x = train.network_input(train.rows[places]).to(device)
            optimizer.zero_grad()
            F.cross_entropy(classifier(x), train.labels[places].to(device)).backward()
            optimizer.step()
            rates.step()
    return classifier


FeatureName = Literal["classifier", "inception"]
MAX_IMAGES = 10_000
CLASSIFIER_LABEL = (
    "not comparable with other programs: features of a small classifier of the same data"
)


@dataclass(frozen=True)
class Extractor:
    """Something that has features of items.

    Attributes:
        name: `classifier` or `inception`.
        label: ends the definition of each figure: whose features they are.
        extract: from items `(B, ...)` on the device of the model to features `(B, D)` there.
    """

    name: FeatureName
    label: str
    extract: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Comparison:
    """How samples are compared with items.

    Attributes:
        extractor: of the features; None is a classifier that is trained on the data.
        images: the number of items, and of samples, whose features are compared.
    """

    extractor: Extractor | None = None
    images: int = MAX_IMAGES

    @property
    def features(self) -> FeatureName:
        """The name of the features."""
        return "classifier" if self.extractor is None else self.extractor.name


BY_CLASSIFIER = Comparison()


def classifier_of(subject: Subject, world: World = ALONE) -> Classifier:
    """The classifier of the training set, which is kept in the folder of the run."""
    train, classes = subject.train, int(subject.train.labels.max()) + 1
    return fitted_classifier(train, classes, subject.model.device, subject.folder, world)


def classifier_extractor(classifier: Classifier) -> Extractor:
    """The features of a classifier of the data."""
    return Extractor("classifier", CLASSIFIER_LABEL, classifier.features)


NEIGHBOURS = 5
PENALTY = 1e-4  # on the squared weights of the probe
MAX_ITERATIONS = 100
MIN_CHANGE = 1e-5  # of the loss in nats; the iterations end with a smaller one
ITEMS_PER_PARAMETER = 100  # of the probe
MAX_LOGITS = 50_000_000  # items times classes of the probe, which is computed some hundred times

FEATURE_NAMES = ("knn_accuracy", "probe_accuracy")


def feature_figures(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    world: World = ALONE,
) -> Figures:
    """The accuracy of both classifiers.

    The processes share the items whose neighbours are looked for; the first fits the probe.

    Args:
        train: means `(N, D)`.
        labels: int64 `(N,)`; empty if unknown.
        test: means `(M, D)`.
        test_labels: int64 `(M,)`.
        world: the processes, of which each has all of these.
    """
    if not (len(labels) and len(test_labels)):
        return all_absent(FEATURE_NAMES, "the items have no labels")
    if len(labels.unique()) == 1:
        return all_absent(FEATURE_NAMES, "all items have the same label")
    neighbours = share_rows(
        lambda some: classify_by_neighbours(train, labels, some), test, world, CHUNK_ITEMS
    )
    text = f"accuracy of {NEIGHBOURS} nearest neighbours of the means"
    return figures_of_first(
        lambda: {
            "knn_accuracy": share(neighbours == test_labels, text),
            "probe_accuracy": probe_accuracy(train, labels, test, test_labels),
        },
        world,
    )


def probe_accuracy(
    train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor
) -> Figure | Absent:
    """The accuracy of a linear classifier; the arguments are those of `feature_figures`."""
    classes = int(labels.max()) + 1
    if classes > MAX_LOGITS // classes:  # less than one item of each would be left
        return Absent(f"{classes:,} classes are too many for a linear probe")
    predicted = classify_linearly(train, labels, test)
    return share(predicted == test_labels, "accuracy of a linear classifier of the means")


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


LAYER = "2048"  # the last pooling layer
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
BATCH_IMAGES = 32  # the first layers hold 30 MB for each image
CHANNELS = (1, 3)
ADVICE = f"or use {mark('features=classifier')}"


def inception_extractor(path: Path | None, device: torch.device) -> Extractor:
    """The features `(B, 2048)` of Inception.

    Args:
        path: the file of the weights; None takes the published ones, and downloads them if need be.
        device: to compute on.

    Raises:
        UsageError: torch-fidelity is not installed, or the file is not one of these weights.
        VAEError: the weights cannot be downloaded.
    """
    try:
        import torch_fidelity  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"{mark('features=inception')} needs {error.name}: pip install "
            f"'vae-cli[inception]', {ADVICE}"
        ) from error
    found = published_weights() if path is None else path
    network = load_network(found).to(device)

    def extract(images: Tensor) -> Tensor:
        some = [network(to_color_bytes(part))[0] for part in images.split(BATCH_IMAGES)]
        return torch.cat(some)

    return Extractor("inception", describe_weights(found), extract)


def published_weights() -> Path:
    """The file of the published weights, which is downloaded if it is not there yet.

    Raises:
        VAEError: it cannot be downloaded.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL_INCEPTION_V3).name
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), SHA256, progress=False)
    except (OSError, RuntimeError) as error:
        raise VAEError(
            f"the Inception weights cannot be downloaded ({error}): save {URL_INCEPTION_V3} as "
            f"{path}, or name the file with {mark('inception_weights')}, {ADVICE}"
        ) from error
    return path


@functools.cache
def load_network(path: Path) -> nn.Module:
    """The network with the weights in a file, which several runs share.

    The file is read without running any code in it first, which torch-fidelity would do.

    Raises:
        UsageError: the file cannot be read, or has other contents.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        with open_file(path) as file:
            torch.load(file, map_location="cpu", weights_only=True)
        return cast("nn.Module", FeatureExtractorInceptionV3("inception", [LAYER], str(path)))
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"the Inception weights {path}: {error.strerror or error}") from error
    except Exception as error:  # the bytes of another file can mean anything to the reader
        raise UsageError(
            f"{path} has no Inception weights of torch-fidelity: leave "
            f"{mark('inception_weights')} out to "
            f"download them, {ADVICE}"
        ) from error


def describe_weights(path: Path) -> str:
    """Whose features they are, for the definition of a figure."""
    with open_file(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == SHA256:
        return "features of Inception, the published weights"
    return f"features of Inception, but not the published weights: {path.name}, {digest[:8]}"


def to_color_bytes(images: Tensor) -> Tensor:
    """Images `(B, 1 or 3, H, W)` in [0, 1] as bytes of three equal or different channels."""
    bytes_ = (255 * images).round().clamp(0, 255).to(torch.uint8)
    return bytes_.expand(-1, 3, -1, -1)


def require_colors(shape: tuple[int, ...]) -> None:
    """Refuse what Inception has no features of.

    Raises:
        UsageError: the items of this shape are rows of a table, or have other channels.
    """
    if len(shape) == 1:
        raise UsageError(
            f"{mark('features=inception')} is for images, not rows of a table: leave it out"
        )
    if shape[0] not in CHANNELS:
        raise UsageError(
            f"{mark('features=inception')} is for images of 1 or 3 channels, not "
            f"{shape[0]}: leave it out"
        )
