"""What is evaluated: a model, and the data that it is evaluated on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from vae_cli.data.dataset import NamedSplit
from vae_cli.data.split import InMemory
from vae_cli.model import LatentModel

Relation = Literal["own", "changed", "other"]


@final
@dataclass(frozen=True, kw_only=True)
class Subject:
    """A trained model and data.

    Attributes:
        model: in evaluation mode, on the device to compute on.
        train: the items that it was trained on, or the training part of other data.
        test: the items that are scored, as the model takes them, and what is known about them.
        folder: of the run; what is fitted for the evaluation is kept there.
        epoch: after which the weights were saved.
        weights_digest: SHA-256 of the weights, to which the figures belong.
        data_digest: SHA-256 of the items of the run, if the data are its own; else empty.
        path: of other data; empty for those of the run.
        relation: whether the data are those of the training, those that the run names but with
            other contents, or others.
        samples_noise: whether a sample is drawn from p(x|z), or is its mean.
    """

    model: LatentModel
    train: InMemory
    test: NamedSplit
    folder: Path
    epoch: int
    weights_digest: str = ""
    data_digest: str = ""
    path: str = ""
    relation: Relation = "own"
    samples_noise: bool = False

    @property
    def is_own(self) -> bool:
        """Whether the data are those of the training, so that figures of them are the run's."""
        return self.relation == "own"
