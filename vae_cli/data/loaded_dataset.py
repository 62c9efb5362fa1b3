"""A data set that is read once, for several trainings."""

from typing import final

from vae_cli.data.dataset import Dataset, Parts, Split, UndividedDataset


@final
class LoadedDataset(UndividedDataset):
    """Another data set that is read once, for several trainings on it."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.spec = dataset, dataset.spec

    def divide(self) -> Parts:
        """The parts of the other data set."""
        parts = Parts(self.dataset.train(), self.dataset.test(), self.dataset.validation())
        self.spec = self.dataset.spec
        return parts

    def names(self, split: Split) -> list[str]:
        """The names of the other data set."""
        return self.dataset.names(split)
