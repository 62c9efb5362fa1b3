"""The quality of samples and reconstructions, by the features of a classifier of the same data."""

import torch
from torch import Generator, Tensor

from vae_cli.data.batches import chunk_length
from vae_cli.evaluation.classifier import Classifier, fitted_classifier
from vae_cli.evaluation.figures import Absent, Figure, Figures, all_absent, make_figure, share
from vae_cli.evaluation.quality import frechet_distance, frechet_error, precision_and_recall
from vae_cli.evaluation.sampler import fitted_mixture
from vae_cli.evaluation.subject import Subject
from vae_cli.latent.sampling import sample
from vae_cli.model import Prior

MAX_SAMPLES = 10_000
MAX_NEIGHBOURS = 5_000  # items and samples whose neighbourhoods are compared
MIN_ITEMS = 100
SAMPLE_NAMES = (
    *("frechet_samples", "frechet_gmm", "frechet_reconstructions", "frechet_train"),
    *("precision", "recall"),
)
LABEL = "not comparable with other programs: features of a small classifier of the same data"


@torch.no_grad()
def sample_figures(subject: Subject, seed: int) -> Figures:
    """All figures of samples; the classifier and the mixture are kept in the folder of the run."""
    reason = sample_absence(subject)
    if reason is not None:
        return all_absent(SAMPLE_NAMES, reason)
    model, test = subject.model, subject.test
    classes = int(subject.train.labels.max()) + 1
    classifier = fitted_classifier(subject.train, classes, model.device, subject.folder)
    count = min(MAX_SAMPLES, len(test))
    items, recon = item_features(subject, classifier, count, seed)
    mixture = fitted_mixture(model, lambda: subject.train, subject.folder)
    drawn = sampled_features(subject, classifier, model.prior, count, seed)
    fitted = sampled_features(subject, classifier, mixture, count, seed)
    return {
        "frechet_samples": distance(items, drawn, "of samples from the prior", seed),
        "frechet_gmm": distance(items, fitted, "of samples with --sampler gmm", seed),
        "frechet_reconstructions": distance(items, recon, "of reconstructions", seed),
        "frechet_train": distance(
            items, train_features(subject, classifier, count, seed), "of training items", seed
        ),
        **neighbour_figures(items, drawn),
    }


def sample_absence(subject: Subject) -> str | None:
    """Why samples cannot be compared with the items; None if they can."""
    labels = subject.train.labels
    if not subject.is_own:
        return "samples are compared with the data of the run alone"
    if not len(labels) or len(labels.unique()) == 1:
        return "the items have no labels, so no classifier of them gives features"
    if min(len(subject.test), len(subject.train)) < MIN_ITEMS:
        return f"less than {MIN_ITEMS} items"
    return None


def distance(items: Tensor, others: Tensor, what: str, seed: int) -> Figure | Absent:
    """The Frechet distance between the features of items and of others."""
    return make_figure(
        frechet_distance(items, others),
        frechet_error(items, others, seed),
        f"Frechet distance {what} ({len(others):,}) from test items ({len(items):,}); {LABEL}",
    )


def neighbour_figures(items: Tensor, samples: Tensor) -> Figures:
    """Precision and recall of samples."""
    near_items, near_samples = precision_and_recall(
        items[:MAX_NEIGHBOURS], samples[:MAX_NEIGHBOURS]
    )
    source = f"(Kynkäänniemi et al., 2019; {len(near_items):,} samples); {LABEL}"
    return {
        "precision": share(near_items, f"share of samples among the items {source}"),
        "recall": share(near_samples, f"share of items among the samples {source}"),
    }


def item_features(
    subject: Subject, classifier: Classifier, count: int, seed: int
) -> tuple[Tensor, Tensor]:
    """The features of test items and of their reconstructions, on the CPU: `(count, 64)` each."""
    model, noise = subject.model, Generator(subject.model.device).manual_seed(seed)
    order = torch.randperm(len(subject.test), generator=Generator().manual_seed(seed))[:count]
    split, features, reconstructed = subject.test.take(order), [], []
    for items in split.chunks(split.rows, 1):
        x = items.to(model.device)
        features.append(classifier.features(x).cpu())
        likelihood = model.infer_mean(x).likelihood
        found = likelihood.sample(noise) if subject.samples_noise else likelihood.mean
        reconstructed.append(classifier.features(found[0]).cpu())
    return torch.cat(features), torch.cat(reconstructed)


def train_features(subject: Subject, classifier: Classifier, count: int, seed: int) -> Tensor:
    """The features of training items, on the CPU: at most `(count, 64)`."""
    order = torch.randperm(len(subject.train), generator=Generator().manual_seed(seed))[:count]
    split, device = subject.train.take(order), subject.model.device
    return torch.cat([classifier.features(x.to(device)).cpu() for x in split.chunks(split.rows, 1)])


def sampled_features(
    subject: Subject, classifier: Classifier, source: Prior, count: int, seed: int
) -> Tensor:
    """The features of `count` samples whose latents come from a source: `(count, 64)`."""
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
        found.append(classifier.features(some).cpu())
    return torch.cat(found)
