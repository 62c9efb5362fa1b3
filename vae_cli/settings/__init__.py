"""The settings: what can be set, the files and flags that set it, and what is built from them.

Settings come in layers: defaults, a file, `--set` and flags. They are merged and validated once.

It may import the training, the model, the data and the rendering, whose parts it builds, and
imports torch only where something is built, so that `vae --help` does not wait for it.
"""

from vae_cli.settings.core import LikelihoodConfig, ModelConfig, ObjectiveConfig, PriorConfig
from vae_cli.settings.effects import require_effects
from vae_cli.settings.entries import Entry, entries
from vae_cli.settings.experiments import (
    Experiment,
    list_experiments,
    read_experiment,
    read_experiments,
)
from vae_cli.settings.interval import SaveInterval, parse_save_interval
from vae_cli.settings.layers import (
    Change,
    differences,
    merge,
    parse_assignment,
    parse_assignments,
    read_config,
    to_dict,
    to_toml,
)
from vae_cli.settings.messages import simplify
from vae_cli.settings.named import find_config, read_layers
from vae_cli.settings.published import Claim, Published
from vae_cli.settings.schema import Config, DataConfig, DeviceName, OptimizerConfig, TrainingConfig
from vae_cli.settings.sweep import Axis, Variant, expand_sweep, parse_axis, parse_seeds
from vae_cli.settings.words import find_setting, short_name

__all__ = [
    "Axis",
    "Change",
    "Claim",
    "Config",
    "DataConfig",
    "DeviceName",
    "Entry",
    "Experiment",
    "LikelihoodConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "PriorConfig",
    "Published",
    "SaveInterval",
    "TrainingConfig",
    "Variant",
    "differences",
    "entries",
    "expand_sweep",
    "find_config",
    "find_setting",
    "list_experiments",
    "merge",
    "parse_assignment",
    "parse_assignments",
    "parse_axis",
    "parse_save_interval",
    "parse_seeds",
    "read_config",
    "read_experiment",
    "read_experiments",
    "read_layers",
    "require_effects",
    "short_name",
    "simplify",
    "to_dict",
    "to_toml",
]
