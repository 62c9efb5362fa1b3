"""The settings: what can be set, the files and flags that set it, and what is built from them.

Settings come in layers: defaults, a file, `--set` and flags (layers.py). They are merged and
validated once against schema.py, whose sections are pages of their own: networks.py, objectives.py,
likelihoods.py, posteriors.py, priors.py, optimizers.py, data.py and training.py. A page has one
class for each variant (variant.py says how), with its settings, what makes no sense together, and
how it is built. plan.py has what is left to choose when the data are known.

It may import the training, the model, the data and the rendering, whose parts it builds, and
imports torch only where something is built, so that `vae --help` does not wait for it.
"""

from vae_cli.settings.data import DataConfig
from vae_cli.settings.entries import Entry, Section, entries, find_setting, sections, short_name
from vae_cli.settings.experiments import (
    Experiment,
    find_config,
    list_experiments,
    named_configs,
    read_experiment,
    read_experiments,
    read_layers,
)
from vae_cli.settings.layers import (
    Change,
    Layer,
    differences,
    merge,
    parse_assignment,
    parse_assignments,
    read_config,
    read_plan,
    to_dict,
    to_toml,
    without_effect,
)
from vae_cli.settings.plan import Plan, choose
from vae_cli.settings.published import Claim, Published
from vae_cli.settings.schema import Config
from vae_cli.settings.sweep import Axis, Variant, expand_sweep, parse_axis, parse_seeds
from vae_cli.settings.training import DeviceName, SaveInterval, TrainingConfig
from vae_cli.settings.values import simplify

__all__ = [
    "Axis",
    "Change",
    "Claim",
    "Config",
    "DataConfig",
    "DeviceName",
    "Entry",
    "Experiment",
    "Layer",
    "Plan",
    "Published",
    "SaveInterval",
    "Section",
    "TrainingConfig",
    "Variant",
    "choose",
    "differences",
    "entries",
    "expand_sweep",
    "find_config",
    "find_setting",
    "list_experiments",
    "merge",
    "named_configs",
    "parse_assignment",
    "parse_assignments",
    "parse_axis",
    "parse_seeds",
    "read_config",
    "read_experiment",
    "read_experiments",
    "read_layers",
    "read_plan",
    "sections",
    "short_name",
    "simplify",
    "to_dict",
    "to_toml",
    "without_effect",
]
