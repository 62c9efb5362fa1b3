"""Training from Python."""

from collections.abc import Mapping
from typing import Any

from vae_cli.api.model import TrainedModel, load_trained
from vae_cli.device import resolve_device
from vae_cli.runs.directory import create_run, require_free_name
from vae_cli.runs.resolve import resolve
from vae_cli.runs.start import start_layers
from vae_cli.runs.train import train_run
from vae_cli.settings import merge


def train_model(settings: Mapping[str, Any], name: str | None) -> TrainedModel:
    """Train a new run, and load its best weights. `vae_cli.train` documents the arguments."""
    if name is not None:
        require_free_name(name)
    layer = ("settings", settings)
    config = merge(layer)
    if config.training.start:
        config = merge(*start_layers(config.training.start, [layer]))
    resolved = resolve(config, resolve_device(config.training.device))
    finished = train_run(create_run(resolved.config, name), resolved)
    return load_trained(finished.run, resolved.device)
