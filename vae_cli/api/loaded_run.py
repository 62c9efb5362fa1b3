"""A trained model together with what is known about its run, and its data."""

import warnings
from abc import ABC
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from vae_cli.config import Config
from vae_cli.data.binarization import binarize
from vae_cli.data.catalogue import open_dataset_for, require_present
from vae_cli.data.dataset import Dataset, PictureRules, Progress, Spec, Split, ignore_progress
from vae_cli.errors import UsageError
from vae_cli.items.choice import kind_of
from vae_cli.items.kind import ItemKind
from vae_cli.model import LatentModel, Prior
from vae_cli.runs.origin import explain_distrust


@dataclass(frozen=True, repr=False)
class LoadedRun(ABC):
    """A trained model, and what it was trained on.

    Attributes:
        model: the network in evaluation mode, on the device that was asked for.
        spec: what its items are.
        settings: the settings of its run.
        kl_by_dim: KL of each latent dimension on the test set, in nats, `(D,)`.
        epoch: the epoch after which the weights were saved.
        data_name: of the data that `data` opens; None if its run is a stranger's and has a path.
        train_items: the number of items that it was trained on.
        data_digest: SHA-256 of the items that it was trained and tested on; empty if not known.
        weights_digest: SHA-256 of the weights.
        name: of its run.
        folder: of its run.
        source: of the latents of samples; None is the prior.
    """

    model: LatentModel
    spec: Spec
    settings: Config
    kl_by_dim: Tensor
    epoch: int
    data_name: str | None
    train_items: int
    data_digest: str
    weights_digest: str
    name: str
    folder: Path
    source: Prior | None = None

    def __repr__(self) -> str:
        """One line, because the representation of the network is long."""
        dims = self.model.latent_dim
        return f"<TrainedModel {self.name}: {self.spec.name}, {dims} latent dimensions>"

    @cached_property
    def kind(self) -> ItemKind:
        """How its items are read and written."""
        return kind_of(self.spec)

    @cached_property
    def figure(self) -> str:
        """The name of the distortion of its likelihood, for example `mse`."""
        with torch.no_grad():
            return self.model.decode(
                torch.zeros(1, self.model.latent_dim, device=self.model.device)
            ).figure

    def held_out(self) -> Split:
        """The test set of its data, which must still be there.

        Raises:
            UsageError: as in `data`.
        """
        return self.test_set()[0]

    def test_set(self) -> tuple[Split, Spec]:
        """The test set as in `held_out`, and its spec: only other data have other classes."""
        with warnings.catch_warnings(action="ignore"):  # the training has warned already
            dataset = self.data()
            test = dataset.test()
        return binarize(test) if self.model.likelihood.is_binary else test, dataset.spec

    def data(self, progress: Progress = ignore_progress, *, flag: str = "--data") -> Dataset:
        """The data of its run, or those that `load` was given; `flag` is what confirms them.

        Raises:
            UsageError: they are missing, or do not fit the model, or nobody has confirmed the path.
        """
        name, config = self.data_name, self.settings.data
        if name is None:
            raise UsageError(explain_distrust(self.name, config.name, flag))
        require_present(name, f"run {self.name}: its data")
        return open_dataset_for(
            self.spec,
            name,
            progress,
            test_fraction=config.test_fraction,
            pictures=PictureRules(version=config.rules),
        )
