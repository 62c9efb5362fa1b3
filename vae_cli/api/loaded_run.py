"""A trained model together with what is known about its run, and its data."""

import warnings
from abc import ABC
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vae_cli.api.run_data import RunData
from vae_cli.config import Config
from vae_cli.data.binarization import binarize
from vae_cli.data.catalogue import find_source, open_dataset_for, require_present
from vae_cli.data.dataset import PictureRules, Progress, Spec, Split, ignore_progress
from vae_cli.errors import UsageError
from vae_cli.items.choice import kind_of
from vae_cli.items.kind import ItemKind
from vae_cli.model import LatentModel, Prior
from vae_cli.runs.loading import TrainedOn
from vae_cli.runs.origin import explain_distrust


class TestSet(NamedTuple):
    """The items that are held out.

    Attributes:
        split: the items as the model has seen them: black and white if it is a model of such.
        spec: what they are; only other data have other classes than the model.
        item_names: one per item, as in an `Embedding`.
        are_paths: whether these are the paths of pictures in a folder.
    """

    split: Split
    spec: Spec
    item_names: list[str]
    are_paths: bool

    def names(self, places: Sequence[int]) -> list[str]:
        """The names of the items at some places: their paths, or their places and classes."""
        if self.are_paths:
            return [self.item_names[place] for place in places]
        columns = [list(map(str, places)), *([found] if (found := self.classes(places)) else [])]
        return [" ".join(texts) for texts in zip(*columns, strict=True)]

    def classes(self, places: Sequence[int]) -> list[str]:
        """The names of the classes of the items at some places; empty if they are not known."""
        if not self.spec.classes:
            return []
        return [self.spec.classes[label] for label in self.split.labels[list(places)].tolist()]

    def texts(self, places: Sequence[int]) -> dict[str, list[str]]:
        """The columns `name` and `label` that `vae embed` writes for the items at some places."""
        labels = self.classes(places)
        names = [self.item_names[place] for place in places]
        return {"name": names} | ({"label": labels} if labels else {})


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
        trained_on: what its data were at the training.
        weights_digest: SHA-256 of the weights.
        diverged: the epoch in which the training ended, because its loss was not finite; 0 if none.
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
    trained_on: TrainedOn
    weights_digest: str
    diverged: int
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
        """The test set of its data, which must still be there, as far as the run used it.

        Raises:
            UsageError: as in `data`.
        """
        return self.test_set().split

    def test_set(self) -> TestSet:
        """The test set as in `held_out`, and what is known about it.

        Raises:
            UsageError: as in `data`.
        """
        dataset = self.data()
        test = dataset.test()
        names = dataset.names(test)
        split = binarize(test) if self.model.likelihood.is_binary else test
        return TestSet(split, dataset.spec, names, dataset.has_files)

    def data(self, progress: Progress = ignore_progress, *, flag: str = "--data") -> RunData:
        """The data of its run, or those that `load` was given; `flag` is what names them.

        Those of the run have only the items that it used, and a warning says if they have changed.

        Raises:
            UsageError: they are missing, or do not fit the model, or nobody has confirmed the path.
        """
        name, config = self.data_name, self.settings.data
        if name is None:
            raise UsageError(explain_distrust(self.name, config.name, flag))
        require_present(name, f"run {self.name}: its data", flag)
        is_named = find_source(name).absolute_name == config.name
        with warnings.catch_warnings(action="ignore") if is_named else nullcontext():
            dataset = open_dataset_for(  # of its own data, the training has warned already
                self.spec,
                name,
                progress,
                test_fraction=config.test_fraction,
                pictures=PictureRules(version=config.rules),
            )
        return RunData(dataset, self.name, config, self.trained_on, is_named=is_named)
