"""Where the latents of samples come from."""

import dataclasses
import warnings
from typing import Literal

from vae_cli.api.evaluation import prepare, training_part
from vae_cli.api.model import TrainedModel
from vae_cli.data.dataset import Split
from vae_cli.errors import UsageError
from vae_cli.evaluation.sampler import fitted_flow, fitted_mixture

Sampler = Literal["prior", "gmm", "flow"]


def with_sampler(model: TrainedModel, sampler: Sampler) -> TrainedModel:
    """The same model, whose samples come from the prior, a fitted mixture, or a fitted flow.

    It is fitted to the training set when it is asked for first, and kept in the folder of
    the run.

    Raises:
        UsageError: it is to be fitted, but the data of the run are missing or have changed, or a
            flow is asked for and there is one latent dimension.

    Example:
        >>> from vae_cli import load
        >>> with_sampler(load(), "gmm").sample(4, seed=0).shape
        (4, 1, 28, 28)
    """
    if sampler == "prior":
        return dataclasses.replace(model, source=None)

    def open_training_set() -> Split:
        with warnings.catch_warnings(action="ignore"):
            dataset = model.data()
            train = training_part(model, dataset)
        if dataset.relation != "own":
            what = "they have changed" if dataset.relation == "changed" else "these are others"
            raise UsageError(
                f"a sampler is fitted to the data that run {model.name} was trained on: {what}"
            )
        return prepare(model, train)

    fit = fitted_mixture if sampler == "gmm" else fitted_flow
    return dataclasses.replace(model, source=fit(model.model, open_training_set, model.folder))
