"""What turns images into the features by which samples are compared with items."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vae_cli.evaluation.classifier import fitted_classifier
from vae_cli.evaluation.subject import Subject

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


def classifier_extractor(subject: Subject) -> Extractor:
    """The features of a classifier of the training set, which is kept in the folder of the run."""
    classes = int(subject.train.labels.max()) + 1
    classifier = fitted_classifier(subject.train, classes, subject.model.device, subject.folder)
    return Extractor("classifier", CLASSIFIER_LABEL, classifier.features)
