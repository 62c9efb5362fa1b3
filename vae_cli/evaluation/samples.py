"""The quality of samples and reconstructions, by features of a classifier or of Inception."""

import time

import torch
from torch import Generator, Tensor

from vae_cli.data.batches import chunk_length
from vae_cli.evaluation.extractor import (
    BY_CLASSIFIER,
    Comparison,
    Extractor,
    FeatureName,
    classifier_extractor,
)
from vae_cli.evaluation.figures import Absent, Figure, Figures, all_absent, make_figure, share
from vae_cli.evaluation.quality import frechet_distance, precision_and_recall
from vae_cli.evaluation.sampler import find_flow, fitted_mixture
from vae_cli.evaluation.subject import Subject
from vae_cli.latent.sampling import sample
from vae_cli.model import DiagonalNormal, Prior

MAX_NEIGHBOURS = 5_000  # items and samples whose neighbourhoods are compared
MIN_ITEMS = 100
MEASURED_IMAGES = 4
NO_FLOW = Absent("no flow is fitted: `vae sample --sampler flow` fits one and keeps it")
SETS = 5  # items, and the four that they are compared with
DISTANCES = {
    "samples": "of samples from the prior",
    "gmm": "of samples with --sampler gmm",
    "flow": "of samples with --sampler flow",
    "reconstructions": "of reconstructions",
    "train": "of training items",
}
# Figures of other features have other names, so that no table has both in one column.
NAMES: dict[FeatureName, tuple[str, ...]] = {
    "classifier": (*(f"frechet_{one}" for one in DISTANCES), "precision", "recall"),
    "inception": (*(f"fid_{one}" for one in DISTANCES), "inception_precision", "inception_recall"),
}


@torch.no_grad()
def sample_figures(
    subject: Subject,
    seed: int,
    comparison: Comparison = BY_CLASSIFIER,
    posterior: DiagonalNormal | None = None,
) -> Figures:
    """All figures of samples; the classifier and the mixture are kept in the folder of the run.

    Args:
        subject: the model and the data.
        seed: of the samples, and of which items they are compared with.
        comparison: by which features, and of how many items.
        posterior: of all training items, if it is known already.
    """
    names, needs_labels = NAMES[comparison.features], comparison.extractor is None
    reason = sample_absence(subject, needs_labels=needs_labels)
    if reason is not None:
        return all_absent(names, reason)
    extractor = comparison.extractor or classifier_extractor(subject)
    model, count = subject.model, min(comparison.images, len(subject.test))
    items, recon = item_features(subject, extractor, count, seed)
    sources = {
        "samples": model.prior,
        "gmm": fitted_mixture(model, lambda: subject.train, subject.folder, posterior),
        "flow": find_flow(model, subject.folder),
    }
    others = {
        name: sampled_features(subject, extractor, source, count, seed)
        for name, source in sources.items()
        if source is not None
    }
    others |= {"reconstructions": recon, "train": train_features(subject, extractor, count, seed)}
    label = extractor.label
    found = [
        distance(items, others[name], what, label) if name in others else NO_FLOW
        for name, what in DISTANCES.items()
    ]
    found += neighbour_figures(items, others["samples"], label)
    return dict(zip(names, found, strict=True))


@torch.no_grad()
def measure_features(subject: Subject, comparison: Comparison) -> float:
    """The seconds that the features of all sets of images will take, from a few of them."""
    if comparison.extractor is None or sample_absence(subject, needs_labels=False) is not None:
        return 0.0
    split = subject.test.head(MEASURED_IMAGES)
    x = split.network_input(split.rows).to(subject.model.device)
    comparison.extractor.extract(x).cpu()  # the first call takes longer
    start = time.perf_counter()
    comparison.extractor.extract(x).cpu()
    each = (time.perf_counter() - start) / len(x)
    return each * SETS * min(comparison.images, len(subject.test))


def sample_absence(subject: Subject, *, needs_labels: bool) -> str | None:
    """Why samples cannot be compared with the items; None if they can."""
    labels = subject.train.labels
    if not subject.is_own:
        return "samples are compared with the data of the run alone"
    if needs_labels and (not len(labels) or len(labels.unique()) == 1):
        return "the items have no labels, so no classifier of them gives features"
    if min(len(subject.test), len(subject.train)) < MIN_ITEMS:
        return f"less than {MIN_ITEMS} items"
    return None


def distance(items: Tensor, others: Tensor, what: str, label: str) -> Figure | Absent:
    """The Frechet distance between the features of items and of others."""
    return make_figure(
        *frechet_distance(items, others),
        f"Frechet distance {what} ({len(others):,}) from test items ({len(items):,}); {label}",
    )


def neighbour_figures(
    items: Tensor, samples: Tensor, label: str
) -> tuple[Figure | Absent, Figure | Absent]:
    """Precision and recall of samples."""
    near_items, near_samples = precision_and_recall(
        items[:MAX_NEIGHBOURS], samples[:MAX_NEIGHBOURS]
    )
    source = f"(Kynkäänniemi et al., 2019; {len(near_items):,} samples); {label}"
    return (
        share(near_items, f"share of samples among the items {source}"),
        share(near_samples, f"share of items among the samples {source}"),
    )


def item_features(
    subject: Subject, extractor: Extractor, count: int, seed: int
) -> tuple[Tensor, Tensor]:
    """The features of test items and of their reconstructions, on the CPU: `(count, D)` each."""
    model, noise = subject.model, Generator(subject.model.device).manual_seed(seed)
    order = torch.randperm(len(subject.test), generator=Generator().manual_seed(seed))[:count]
    split, features, reconstructed = subject.test.take(order), [], []
    for items in split.chunks(split.rows, 1):
        x = items.to(model.device)
        features.append(extractor.extract(x).cpu())
        likelihood = model.infer_mean(x).likelihood
        found = likelihood.sample(noise) if subject.samples_noise else likelihood.mean
        reconstructed.append(extractor.extract(found[0]).cpu())
    return torch.cat(features), torch.cat(reconstructed)


def train_features(subject: Subject, extractor: Extractor, count: int, seed: int) -> Tensor:
    """The features of training items, on the CPU: at most `(count, D)`."""
    order = torch.randperm(len(subject.train), generator=Generator().manual_seed(seed))[:count]
    split, device = subject.train.take(order), subject.model.device
    return torch.cat([extractor.extract(x.to(device)).cpu() for x in split.chunks(split.rows, 1)])


def sampled_features(
    subject: Subject, extractor: Extractor, source: Prior, count: int, seed: int
) -> Tensor:
    """The features of `count` samples whose latents come from a source: `(count, D)`."""
    generator = Generator(subject.model.device).manual_seed(seed)
    size, found = chunk_length(subject.spec.shape), []
    for start in range(0, count, size):
        some = sample(
            subject.model,
            min(size, count - start),
            noise=subject.samples_noise,
            generator=generator,
            source=source,
        )
        found.append(extractor.extract(some).cpu())
    return torch.cat(found)
