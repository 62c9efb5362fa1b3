"""What can be set, and where settings come from."""

from vae_cli.config.layers import (
    assignment,
    at_precision,
    differences,
    dumps,
    on_device,
    read,
    resolve,
    to_dict,
)
from vae_cli.config.schema import (
    Config,
    DataConfig,
    DeviceName,
    Entry,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    entries,
)

__all__ = [
    "Config",
    "DataConfig",
    "DeviceName",
    "Entry",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "assignment",
    "at_precision",
    "differences",
    "dumps",
    "entries",
    "on_device",
    "read",
    "resolve",
    "to_dict",
]
