"""How good samples and reconstructions are: the Frechet distance, precision and recall of features.

    FD = ‖μ_1 − μ_2‖² + tr(Σ_1 + Σ_2 − 2 (Σ_1 Σ_2)^½)         Heusel et al. (2017), eq. 6
    precision: the share of samples inside the neighbourhoods of items       Kynkäänniemi et al.
    recall:    the share of items inside the neighbourhoods of samples       (2019), eq. 1 and 2

The neighbourhood of a point reaches to its third neighbour in its own set.

The standard error of the distance comes from its influence function (the delta method). With the
map T = Σ_1^-½ (Σ_1^½ Σ_2 Σ_1^½)^½ Σ_1^-½ that carries the first normal distribution to the second,
a point x of the first set moves the distance by

    2 (μ_1 − μ_2)ᵀ(x − μ_1) + (x − μ_1)ᵀ(I − T)(x − μ_1)   minus the mean of this,

divided by the number of points. T^-1 takes the place of T for a point of the second set.

The features are those of a classifier of the data, or of Inception (features.py). Several processes
share the items and the samples of each chunk, and the first compares their features.
"""

import math
import time
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.batches import chunk_length
from vae_cli.data.split import InMemory
from vae_cli.evaluation.features import (
    BY_CLASSIFIER,
    Comparison,
    Extractor,
    FeatureName,
    classifier_extractor,
    classifier_of,
    find_nearest,
)
from vae_cli.evaluation.figures import (
    Absent,
    Figure,
    Figures,
    all_absent,
    figures_of_first,
    make_figure,
    share,
)
from vae_cli.evaluation.fitted_models import (
    find_codes,
    find_codes_head,
    find_flow,
    fitted_mixture,
)
from vae_cli.evaluation.sharing import wait_for_first
from vae_cli.evaluation.subject import Subject
from vae_cli.latent.decoding import decode_samples, sample_latents, split_latents
from vae_cli.model import LatentModel, LatentSampler, Posterior
from vae_cli.noise import Noise, derive_seed
from vae_cli.training.world import ALONE, Share, World, share_of, shared_batches

NEIGHBOUR = 3
CHUNK_ITEMS = 500
MIN_SCALE = 1e-6  # of the largest standard deviation; what is smaller counts as zero


def frechet_distance(first: Tensor, second: Tensor) -> tuple[float, float]:
    """The Frechet distance of normal distributions fitted to features, and its standard error.

    Args:
        first: `(N, D)`.
        second: `(M, D)`.
    """
    means, covariances = zip(*map(moments, (first, second)), strict=True)
    values, vectors = torch.linalg.eigh(covariances[0])
    scales = values.clamp(min=0).sqrt()
    root = (vectors * scales) @ vectors.T
    product, axes = torch.linalg.eigh(root @ covariances[1] @ root)
    stretch = product.clamp(min=0).sqrt()  # its eigenvalues, and `axes`, are those of Σ_1^½ T Σ_1^½
    shift, traces = means[0] - means[1], covariances[0].trace() + covariances[1].trace()
    value = float(shift.square().sum() + traces - 2 * stretch.sum())
    whiten = (vectors * invert(scales)) @ vectors.T @ axes * stretch.sqrt()
    color = root @ axes * invert(stretch).sqrt()
    variances = [
        influence(features, mean, sign * shift, transport).var() / len(features)
        for features, mean, sign, transport in (
            (first, means[0], 1, whiten),
            (second, means[1], -1, color),
        )
    ]
    return max(0.0, value), math.sqrt(sum(variances))


def invert(scales: Tensor) -> Tensor:
    """1 / x of ascending values `(D,)`; 0 for those that are not told from 0 beside the largest."""
    return torch.where(scales > MIN_SCALE * scales[-1], 1 / scales, 0)


def influence(features: Tensor, mean: Tensor, shift: Tensor, transport: Tensor) -> Tensor:
    """How far each point `(N, D)` moves the distance, times N and up to a constant: `(N,)`.

    Args:
        features: the points.
        mean: their mean `(D,)`.
        shift: it, minus the mean of the other set.
        transport: a factor F `(D, D)` of the map F Fᵀ to the other set.
    """
    centred = features.double() - mean
    return 2 * centred @ shift + centred.square().sum(1) - (centred @ transport).square().sum(1)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean `(D,)` and the covariance `(D, D)` of features `(N, D)`, in float64."""
    features = features.double()
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - 1)


def precision_and_recall(items: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each sample is near items, bool `(M,)`, and each item near samples, bool `(N,)`."""
    item_radius, sample_radius = reach(items), reach(samples)
    near_items, near_samples = [], torch.zeros(len(items), dtype=torch.bool)
    for rows in torch.arange(len(samples)).split(CHUNK_ITEMS):
        distances = torch.cdist(samples[rows], items)
        near_items.append((distances <= item_radius).any(1))
        near_samples |= (distances <= sample_radius[rows, None]).any(0)
    return torch.cat(near_items), near_samples


def reach(points: Tensor) -> Tensor:
    """The distance of each point `(N, D)` to its third neighbour, `(N,)`."""
    count = min(NEIGHBOUR + 1, len(points))  # the nearest point is the point itself
    last = find_nearest(points, points, count)[:, -1]
    return (points - points[last]).square().sum(1).sqrt()


MAX_NEIGHBOURS = 5_000  # items and samples whose neighbourhoods are compared
MIN_ITEMS = 100
MEASURED_IMAGES = 4
NOT_CONDITIONAL = Absent(
    "what is fitted to the latents of all items does not depend on the condition, as the prior may"
)
NO_FLOW = Absent("no flow is fitted: sampling with the sampler flow fits one and keeps it")
NO_CODE_PRIOR = Absent("no prior over codes is fitted: sampling with the sampler codes fits it")
SETS = 5  # items, and the four that they are compared with
SETS_OF_CLASSES = 2  # items again, and samples of each class (classes.py)
DISTANCES = {
    "samples": "of samples from the prior",
    "gmm": "of samples with the sampler gmm",
    "flow": "of samples with the sampler flow",
    "codes": "of samples with the sampler codes",
    "reconstructions": "of reconstructions",
    "train": "of training items",
}
# Figures of other features have other names, so that no table has both in one column.
PREFIXES: dict[FeatureName, tuple[str, str]] = {
    "classifier": ("frechet_", ""),
    "inception": ("fid_", "inception_"),
}


def figure_names(features: FeatureName, distances: Iterable[str]) -> tuple[str, ...]:
    """The names of the figures of samples: of their distances, of precision and of recall."""
    first, second = PREFIXES[features]
    return (*(first + one for one in distances), f"{second}precision", f"{second}recall")


def distances_of(model: LatentModel) -> dict[str, str]:
    """What is compared with items, by name: samplers are for codes, or for other vectors."""
    are_codes = find_codes_head(model) is not None
    are_vectors = not are_codes and len(model.event_shape) == 1
    unfit = (set() if are_codes else {"codes"}) | (set() if are_vectors else {"gmm", "flow"})
    return {name: what for name, what in DISTANCES.items() if name not in unfit}


@torch.no_grad()
def sample_figures(
    subject: Subject,
    seed: int,
    comparison: Comparison = BY_CLASSIFIER,
    posterior: Posterior | None = None,
    world: World = ALONE,
) -> Figures:
    """All figures of samples; the classifier and the mixture are kept in the folder of the run.

    Args:
        subject: the model and the data.
        seed: of the samples, and of which items they are compared with.
        comparison: by which features, and of how many items.
        posterior: of all training items, if it is known already.
        world: the processes that share the items and the samples.
    """
    distances, needs_labels = distances_of(subject.model), comparison.extractor is None
    names = figure_names(comparison.features, distances)
    reason = sample_absence(subject, needs_labels=needs_labels)
    if reason is not None:
        return all_absent(names, reason)
    extractor = comparison.extractor or classifier_extractor(classifier_of(subject, world))
    count = min(comparison.images, len(subject.test))
    items, recon = item_features(subject, extractor, count, seed, world)
    y = subject.test.split.take(test_order(subject, count, seed)).condition
    others: dict[str, Tensor] = {}
    sources = find_sources(subject, posterior, world)
    wait_for_first(world)
    for name, source in sources.items():
        if world.any(source is not None):  # which process 0 knows
            others[name] = sampled_features(subject, extractor, source, count, seed, world, y=y)
    train = train_features(subject, extractor, count, seed, world)
    others |= {"reconstructions": recon, "train": train}
    best = "codes" if "codes" in others else "samples"  # uniform codes say little about a model

    def compare() -> Figures:
        found = [
            distance(items, others[name], what, extractor.label)
            if name in others
            else lacking(name, subject.model)
            for name, what in distances.items()
        ]
        found += neighbour_figures(items, others[best], distances[best], extractor.label)
        return dict(zip(names, found, strict=True))

    return figures_of_first(compare, world)


def lacking(sampler: str, model: LatentModel) -> Absent:
    """Why there are no samples with a sampler."""
    if sampler == "codes":
        return NO_CODE_PRIOR
    return NO_FLOW if model.condition is None else NOT_CONDITIONAL


def find_sources(
    subject: Subject, posterior: Posterior | None, world: World
) -> dict[str, LatentSampler | None]:
    """The sources of samples by name; None is one that there is not, or that process 0 has."""
    model, folder = subject.model, subject.folder
    found: dict[str, LatentSampler | None] = {"samples": model.prior}
    found |= dict.fromkeys(name for name in ("gmm", "flow", "codes") if name in distances_of(model))
    if world.rank > 0:
        return found
    if "codes" in found:
        return found | {"codes": find_codes(model, folder)}
    if model.condition is not None or "gmm" not in found:
        return found
    mixture = fitted_mixture(model, lambda: subject.train, folder, posterior)
    return found | {"gmm": mixture, "flow": find_flow(model, folder)}


@torch.no_grad()
def measure_features(subject: Subject, comparison: Comparison) -> float:
    """The seconds that the features of all sets of images will take, from a few of them."""
    if comparison.extractor is None or sample_absence(subject, needs_labels=False) is not None:
        return 0.0
    split = subject.test.split.head(MEASURED_IMAGES)
    x = next(split.batches(torch.arange(len(split)), len(split), subject.model.device)).x
    comparison.extractor.extract(x).cpu()  # the first call takes longer
    start = time.perf_counter()
    comparison.extractor.extract(x).cpu()
    each = (time.perf_counter() - start) / len(x)
    sets = SETS if subject.model.condition is None else SETS + SETS_OF_CLASSES
    return each * sets * min(comparison.images, len(subject.test))


def sample_absence(subject: Subject, *, needs_labels: bool) -> str | None:
    """Why samples cannot be compared with the items; None if they can."""
    labels = subject.train.labels
    if not subject.is_own:
        return "samples are compared with the data of the run alone"
    if needs_labels and (not len(labels) or len(labels.unique()) == 1):
        return "the items have no labels, so no classifier of them gives features"
    if min(len(subject.test), len(subject.train)) < MIN_ITEMS:
        return f"fewer than {MIN_ITEMS} items"
    return None


def distance(items: Tensor, others: Tensor, what: str, label: str) -> Figure | Absent:
    """The Frechet distance between the features of items and of others."""
    return make_figure(
        *frechet_distance(items, others),
        f"Frechet distance {what} ({len(others):,}) from test items ({len(items):,}); {label}",
    )


def neighbour_figures(
    items: Tensor, samples: Tensor, what: str, label: str
) -> tuple[Figure | Absent, Figure | Absent]:
    """Precision and recall of samples, of which `what` says where they are from."""
    near_items, near_samples = precision_and_recall(
        items[:MAX_NEIGHBOURS], samples[:MAX_NEIGHBOURS]
    )
    source = f"(Kynkäänniemi et al., 2019; {len(near_items):,} samples); {label}"
    return (
        share(near_items, f"share {what} among the items {source}"),
        share(near_samples, f"share of items among those {what} {source}"),
    )


def item_features(
    subject: Subject, extractor: Extractor, count: int, seed: int, world: World
) -> tuple[Tensor, Tensor]:
    """The features of test items and of their reconstructions, on the CPU: `(count, D)` each."""
    model, noise = subject.model, Noise(derive_seed(seed, "reconstructions"), subject.model.device)
    order, features, reconstructed = test_order(subject, count, seed), [], []
    for batch, part in shared_items(subject.test.split.take(order), model.device, world):
        features.append(part.collect(extractor.extract(batch.x).cpu()))
        spread = noise.for_part(part.part) if subject.samples_noise else None
        found = extractor.extract(reconstruct(model, batch, spread))
        reconstructed.append(part.collect(found.cpu()))
    return torch.cat(features), torch.cat(reconstructed)


def shared_items(
    split: InMemory, device: torch.device, world: World
) -> Iterator[tuple[Batch, Share]]:
    """Every item of a part once: this process's share of each chunk."""
    order, size = torch.arange(len(split)), chunk_length(split.shape)
    return shared_batches(split, order, size, device, world=world)


def reconstruct(model: LatentModel, batch: Batch, noise: Noise | None) -> Tensor:
    """Items from the modes of their posteriors: the means of p(x|z), or with noise its samples."""
    inference = model.infer(batch)
    if noise is None:
        return inference.likelihood.mean[0]
    # The noise of a part is drawn along the first axis, so that there is none of samples before it.
    latents = [level.z[0] for level in inference.levels]
    return model.decode_levels(latents, batch.y).sample(noise)


def test_order(subject: Subject, count: int, seed: int) -> Tensor:
    """The places of the test items that are compared, int64 `(count,)`."""
    return choose_items(len(subject.test), count, derive_seed(seed, "test items"))


def choose_items(total: int, count: int, seed: int) -> Tensor:
    """The places of a random part of a set, int64 `(count,)`, or of all of it if it is smaller."""
    return torch.randperm(total, generator=Noise(seed).generator)[:count]


def train_features(
    subject: Subject, extractor: Extractor, count: int, seed: int, world: World
) -> Tensor:
    """The features of training items, on the CPU: at most `(count, D)`."""
    order = choose_items(len(subject.train), count, derive_seed(seed, "training items"))
    shares = shared_items(subject.train.take(order), subject.model.device, world)
    return torch.cat([part.collect(extractor.extract(batch.x).cpu()) for batch, part in shares])


def sampled_features(
    subject: Subject,
    extractor: Extractor,
    source: LatentSampler | None,
    count: int,
    seed: int,
    world: World,
    y: Tensor | None = None,
) -> Tensor:
    """The features of `count` samples whose latents come from a source of process 0: `(count, D)`.

    The processes share the samples, and each has all latents.

    Args:
        subject: the model and the data.
        extractor: of the features.
        source: of the latents; None if process 0 alone has it.
        count: the number of samples.
        seed: of the samples.
        world: the processes that share them.
        y: the condition of each as the networks take it, `(count, W)`; None if there is none.
    """
    model, noise = subject.model, Noise(derive_seed(seed, "samples"), subject.model.device)
    size, found = chunk_length(subject.test.spec.shape), []
    for start in range(0, count, size):
        asked = None if y is None else y[start : start + size].to(model.device)
        latents = sample_latents(model, min(size, count - start), noise, source=source, y=asked)
        state = noise.state()
        world.copy([latents, state])  # of the others, only the sizes are right
        noise.restore(state)
        for some, told in split_latents(model, latents, asked):
            part = share_of(len(some), world)
            own, drawn = part.take(some, 0), noise.for_part(part.part)
            known = None if told is None else part.take(told, 0)
            items = decode_samples(model, own, drawn, with_spread=subject.samples_noise, y=known)
            found.append(part.collect(extractor.extract(items).cpu()))
    return torch.cat(found)
