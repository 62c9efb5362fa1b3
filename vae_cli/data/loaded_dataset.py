"""A data set that is read once, for several trainings."""

from typing import final

from vae_cli.data.dataset import Dataset, Parts, Split, UndividedDataset


@final
class LoadedDataset(UndividedDataset):
    """Another data set that is read once, for several trainings on it."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.spec, self.stamp_of_files = dataset, dataset.spec, dataset.stamp()

    def divide(self) -> Parts:
        """The parts of the other data set."""
        parts = self.dataset.read_parts()
        self.spec = self.dataset.spec
        return parts

    def stamp(self) -> str:
        """The stamp of the files when they were opened, because they are not read again."""
        return self.stamp_of_files

    def names(self, split: Split) -> list[str]:
        """The names of the other data set."""
        return self.dataset.names(split)
