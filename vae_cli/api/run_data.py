"""The data that a model was trained on, opened again."""

from typing import TYPE_CHECKING

from vae_cli.data.catalogue import open_dataset_for, require_present
from vae_cli.data.dataset import Dataset, Progress
from vae_cli.errors import UsageError
from vae_cli.runs.origin import explain_distrust

if TYPE_CHECKING:
    from vae_cli.api.model import TrainedModel


def open_run_data(model: "TrainedModel", progress: Progress, flag: str) -> Dataset:
    """The data of a model's run, or those that `load` was given; `flag` is what confirms them.

    Raises:
        UsageError: they are missing, or do not fit the model, or nobody has confirmed the path.
    """
    name, config = model.data_name, model.settings.data
    if name is None:
        raise UsageError(explain_distrust(model.name, config.name, flag))
    require_present(name, f"run {model.name}: its data")
    return open_dataset_for(model.spec, name, progress, test_fraction=config.test_fraction)
