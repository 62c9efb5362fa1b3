"""All settings of a run, by section.

The name, type, range, default and help of a setting are in the class of its section, or of the
variant of a component that it belongs to, and nowhere else. The flags of `vae train`,
`--config FILE`, `--set section.key=value`, a run's `config.toml`, `--help` and the table in
docs/settings.md are all made from them. Precedence: defaults < config file < command line.

Nothing here imports pydantic or torch, so that `vae --help` stays fast.
"""

from dataclasses import field
from typing import final

from vae_cli.settings.data import DataConfig
from vae_cli.settings.likelihoods import AutoLikelihood, LikelihoodConfig
from vae_cli.settings.networks import AutoNetwork, NetworkConfig
from vae_cli.settings.objectives import ELBO, ObjectiveConfig
from vae_cli.settings.optimizers import Adam, OptimizerConfig
from vae_cli.settings.posteriors import Normal, PosteriorConfig
from vae_cli.settings.priors import AutoPrior, PriorConfig
from vae_cli.settings.training import TrainingConfig
from vae_cli.settings.variant import section


@final
@section
class Config:
    """The settings of a run, as they are asked for."""

    data: DataConfig = field(default_factory=DataConfig)
    model: NetworkConfig = field(default_factory=AutoNetwork)
    objective: ObjectiveConfig = field(default_factory=ELBO)
    likelihood: LikelihoodConfig = field(default_factory=AutoLikelihood)
    posterior: PosteriorConfig = field(default_factory=Normal)
    prior: PriorConfig = field(default_factory=AutoPrior)
    optimizer: OptimizerConfig = field(default_factory=Adam)
    training: TrainingConfig = field(default_factory=TrainingConfig)
