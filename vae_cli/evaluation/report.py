"""One whole evaluation, and the file in which it is kept."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from vae_cli.data.dataset import Stage, ignore_stage
from vae_cli.device import describe_device
from vae_cli.evaluation.classes import ByClass, class_figures
from vae_cli.evaluation.classification import classifier_figures
from vae_cli.evaluation.codes import bound_figures
from vae_cli.evaluation.disentanglement import factor_figures
from vae_cli.evaluation.features import BY_CLASSIFIER, Comparison, FeatureName, feature_figures
from vae_cli.evaluation.figures import Absent, Figure, Figures, figures_of_first
from vae_cli.evaluation.latents import latent_figures, mean_kl_by_dim
from vae_cli.evaluation.likelihood import encode, estimate_likelihoods
from vae_cli.evaluation.reconstruction import reconstruction_figures
from vae_cli.evaluation.samples import sample_figures
from vae_cli.evaluation.subject import Subject
from vae_cli.evaluation.tables import FROM_THE_PRIOR, Synthesis, table_figures
from vae_cli.files import to_json, write_bytes
from vae_cli.model import Posterior
from vae_cli.training.world import ALONE, World


@final
@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All figures of one model on one set of items.

    Attributes:
        figures: by name.
        kl_by_dim: KL of each latent dimension in nats.
        data: the name of the data.
        items: the number of items that were scored.
        samples: the number of importance samples of each item.
        seed: of all random numbers.
        version: of this package.
        device: that it was computed on.
        seconds: that it took.
        features: by which samples are compared with items: `classifier` or `inception`.
        epoch: after which the weights were saved.
        images: the largest number of items of each set whose features are compared.
        weights: SHA-256 of the weights.
        data_digest: SHA-256 of the items of the run; empty for other data.
        path: of other data; empty for those of the run.
        sampler: of the synthetic rows of a table; empty for images.
        target: the column of a table that they are to predict; empty for the mean over columns.
        classes: of a model that is told the class, the figures of samples of each, by its name.
    """

    figures: Figures
    kl_by_dim: list[float]
    data: str
    items: int
    samples: int
    seed: int
    version: str
    device: str
    seconds: float
    features: FeatureName
    epoch: int
    images: int
    weights: str
    data_digest: str
    path: str
    sampler: str = ""
    target: str = ""
    classes: dict[str, Figures] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The figures, the reasons for those that are absent, and how they were computed."""
        facts = {name: value for name, value in vars(self).items() if name not in OF_FIGURES}
        classes = {name: figures_to_json(one) for name, one in self.classes.items()}
        return {
            **figures_to_json(self.figures),
            **({"classes": classes} if classes else {}),
            **facts,
        }


OF_FIGURES = ("figures", "classes")


def figures_to_json(figures: Figures) -> dict[str, Any]:
    """The figures, and the reasons for those that are absent."""
    return {
        "figures": {n: asdict(one) for n, one in figures.items() if isinstance(one, Figure)},
        "absent": {n: one.reason for n, one in figures.items() if isinstance(one, Absent)},
    }


def evaluate(
    subject: Subject,
    samples: int,
    seed: int,
    version: str,
    stage: Stage = ignore_stage,
    comparison: Comparison = BY_CLASSIFIER,
    synthesis: Synthesis = FROM_THE_PRIOR,
    world: World = ALONE,
) -> Evaluation:
    """Compute every figure that a model can have.

    Several processes do it together, and each has all figures then. They are the same as those of
    one process, up to the rounding of features of samples and reconstructions, whose chunks are
    divided; see sharing.py.

    Args:
        subject: the model and the data.
        samples: K, of the importance-weighted bound.
        seed: of all random numbers.
        version: of the package.
        stage: shows the progress of a part of the work with a name.
        comparison: how samples are compared with items.
        synthesis: which rows of a table are synthetic, and what they are to be useful for.
        world: the processes that evaluate together.
    """
    start, model, test = time.perf_counter(), subject.model, subject.test.split
    with stage("likelihood") as progress:
        items = estimate_likelihoods(model, test, samples, seed, progress, world)
        figures = figures_of_first(lambda: bound_figures(subject, items), world)
    with stage("encoding") as progress:
        posterior = encode(model, test, progress, world)
        train = encode(model, subject.train, progress, world)
    with stage("latents"):
        figures |= latent_figures(model, posterior, seed, world, test.condition)
        dims = mean_kl_by_dim(model, posterior, test.condition)
    with stage("reconstruction"):
        figures |= reconstruction_figures(model, test, world)
    with stage("features"):
        modes = train.mode().flatten(1), posterior.mode().flatten(1)
        figures |= feature_figures(modes[0], subject.train.labels, modes[1], test.labels, world)
        figures |= figures_of_facts(subject, posterior, seed, world)
    with stage("samples"):
        found = figures_of_samples(subject, seed, comparison, synthesis, train, world)
    return Evaluation(
        figures=figures | found.figures,
        kl_by_dim=dims,
        data=subject.test.spec.name,
        items=len(test),
        samples=samples,
        seed=seed,
        version=version,
        device=describe_device(model.device),
        seconds=round(time.perf_counter() - start, 3),
        features=comparison.features,
        epoch=subject.epoch,
        images=comparison.images,
        weights=subject.weights_digest,
        data_digest=subject.data_digest,
        path=subject.path,
        sampler=synthesis.sampler if subject.test.spec.columns else "",
        target=synthesis.target,
        classes=found.classes,
    )


def figures_of_samples(
    subject: Subject,
    seed: int,
    comparison: Comparison,
    synthesis: Synthesis,
    posterior: Posterior,
    world: World,
) -> ByClass:
    """Figures of samples, of all and of each class, and of the rows of a table.

    `posterior` is that of all training items.
    """
    figures = sample_figures(subject, seed, comparison, posterior, world)
    by_class = class_figures(subject, seed, comparison, world)
    figures |= by_class.figures
    if subject.test.spec.columns:
        figures |= table_figures(subject, seed, synthesis, world)
    return ByClass(figures, by_class.classes)


def figures_of_facts(subject: Subject, posterior: Posterior, seed: int, world: World) -> Figures:
    """Figures of what is known about items beside what they are: their factors and classes."""
    test = subject.test
    figures = figures_of_first(lambda: factor_figures(posterior, test.factors, seed), world)
    return figures | classifier_figures(subject.model, test.split, world)


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation as JSON.

    Raises:
        VAEError: the file cannot be written.
    """
    text = to_json(evaluation.to_json(), indent=2, ensure_ascii=False)
    write_bytes(path, text.encode(errors="backslashreplace") + b"\n")
