"""The data set that a config names."""

from vae_cli.config import DataConfig
from vae_cli.data.catalogue import BACKGROUNDS, CHANNELS, find_source, open_dataset
from vae_cli.data.dataset import Dataset, PictureRules, Progress, TableRules
from vae_cli.data.value_range import parse_range


def build_dataset(config: DataConfig, progress: Progress, flag: str) -> Dataset:
    """Open the data.

    Args:
        config: what to open.
        progress: called with the number of pictures decoded so far and the total.
        flag: the option that named the data, for error messages.

    Raises:
        UsageError: there are no such data, or they cannot be used.
        VAEError: a download fails, or the cache cannot be written.
    """
    return open_dataset(
        find_source(config.name, flag),
        test_fraction=config.test_fraction,
        pictures=PictureRules(
            image_size=config.image_size,
            channels=CHANNELS[config.channels],
            background=BACKGROUNDS[config.background],
            frames=config.frames,
            value_range=parse_range(config.range),
            version=config.rules,
        ),
        rules=TableRules(config.label, config.drop, config.missing),
        progress=progress,
    )
