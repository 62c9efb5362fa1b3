"""Loading the model of a run."""

import torch

from vae_cli.api.model import TrainedModel
from vae_cli.runs.directory import Run
from vae_cli.runs.loading import load_model


def load_trained(run: Run, device: torch.device, data: str | None = None) -> TrainedModel:
    """The best weights of a run, as a model on a device. `vae_cli.load` documents the arguments.

    Raises:
        VAEError: there are no weights, they are damaged, or they do not fit their config.
    """
    loaded = load_model(run)
    if data is not None:
        loaded = loaded._replace(data_name=data)
    loaded.model.to(device).to(memory_format=torch.channels_last).eval()
    return TrainedModel(*loaded, name=run.name, folder=run.path)
