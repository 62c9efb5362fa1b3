"""What is evaluated: a model, and the data that it is evaluated on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from vae_cli.data.dataset import Spec
from vae_cli.data.split import InMemory
from vae_cli.model import LatentModel

Relation = Literal["own", "changed", "other"]


@dataclass(frozen=True)
class Factors:
    """The known factors of the items of a test set.

    Attributes:
        names: of the factors.
        values: int64 `(N, F)`, the value of each factor as an index.
    """

    names: tuple[str, ...]
    values: Tensor


@dataclass(frozen=True)
class Subject:
    """A trained model and data.

    Attributes:
        model: in evaluation mode, on the device to compute on.
        spec: what the items are.
        train: the items that it was trained on, or the training part of other data.
        test: the items that are scored, as the model takes them.
        folder: of the run; what is fitted for the evaluation is kept there.
        epoch: after which the weights were saved.
        weights_digest: SHA-256 of the weights, to which the figures belong.
        data_digest: SHA-256 of the items of the run, if the data are its own; else empty.
        factors: of the test items; None if they are not known.
        relation: whether the data are those of the training, those that the run names but with
            other contents, or others.
        samples_noise: whether a sample is drawn from p(x|z), or is its mean.
    """

    model: LatentModel
    spec: Spec
    train: InMemory
    test: InMemory
    folder: Path
    epoch: int
    weights_digest: str = ""
    data_digest: str = ""
    factors: Factors | None = None
    relation: Relation = "own"
    samples_noise: bool = False

    @property
    def is_own(self) -> bool:
        """Whether the data are those of the training, so that figures of them are the run's."""
        return self.relation == "own"
