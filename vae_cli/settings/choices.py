"""The choices about the model that depend on the data, and the combinations that make no sense."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from vae_cli.errors import UsageError
from vae_cli.model.networks.conv import SIDES
from vae_cli.settings import Config, LikelihoodConfig, ModelConfig, PriorConfig, require_effects

LADDER_SIDES = range(16, 65)  # pixels; the heights and widths that the hierarchical network takes
MLP_IMAGE_SHAPE = (1, 28, 28)  # the images for which the default mlp was designed


def choose_model(config: Config, shape: Sequence[int]) -> Config:
    """The settings with the network and the likelihood chosen, for items of a shape.

    Raises:
        UsageError: the settings do not fit the items or each other, or one has no effect.
    """
    chosen = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, network=choose_network(config.model, shape)),
        likelihood=dataclasses.replace(
            config.likelihood, name=choose_likelihood(config.likelihood, shape)
        ),
    )
    require_effects(chosen)
    require_sense(chosen)
    return chosen


def choose_likelihood(
    config: LikelihoodConfig, shape: Sequence[int]
) -> Literal["mse", "gaussian", "bernoulli", "binarized", "laplace", "logistic", "columns"]:
    """The likelihood for items of a shape.

    Raises:
        UsageError: the likelihood that is asked for is for other items.
    """
    is_row = len(shape) == 1
    if config.name == "auto":
        return "columns" if is_row else "mse"
    if (config.name == "columns") != is_row:
        mine, theirs = ("tables", "images") if is_row else ("images", "tables")
        raise UsageError(f"--likelihood {config.name} is for {theirs}: leave it out for {mine}")
    return config.name


def require_sense(config: Config) -> None:
    """Check the combinations of objective, prior and latents.

    Raises:
        UsageError: a combination is not defined.
    """
    objective, prior = config.objective, config.prior
    if config.model.network in {"two-level", "hierarchical"}:
        require_levels_sense(config.model.network, objective.name, prior.name)
    if objective.free_bits and objective.free_bits_by == "dimension" and prior.name != "normal":
        raise UsageError(
            f"--prior {prior.name} has no KL by dimension: "
            "free bits need --set objective.free_bits_by=level"
        )
    if prior.name == "realnvp" and config.model.latent_dim == 1:
        raise UsageError("--prior realnvp couples dimensions: --latent-dim must be 2 or more")
    if objective.warmup_cycles > 1 and not objective.warmup_epochs:
        raise UsageError("objective.warmup_cycles needs objective.warmup_epochs")


def require_enough_items(prior: PriorConfig, items: int) -> None:
    """Check that there is a training item for each pseudo-input to start as.

    Raises:
        UsageError: there are more pseudo-inputs.
    """
    if prior.name == "vamp" and prior.components > items:
        raise UsageError(
            f"--prior vamp with {prior.components} pseudo-inputs, which start as training items, "
            f"of which there are {items}: --set prior.components={items} or fewer"
        )


def require_levels_sense(network: str, objective: str, prior: str) -> None:
    """Check that an objective and a prior are defined for several levels of latents.

    Raises:
        UsageError: one of them is not.
    """
    if objective in {"dreg", "tc", "mmd"}:
        raise UsageError(
            f"--objective {objective} is for one level of latents: "
            f"--model {network} takes elbo, capacity, iwae or miwae"
        )
    if network == "hierarchical" and prior == "vamp":
        raise UsageError(
            "--prior vamp is for one level of latents: "
            "--model hierarchical takes normal, mog or realnvp"
        )


def choose_network(
    config: ModelConfig, shape: Sequence[int]
) -> Literal["mlp", "conv", "two-level", "hierarchical"]:
    """The network for items of a shape; an mlp is never chosen for large images.

    Raises:
        UsageError: the network that is asked for does not take such items, or the images are too
            large.
    """
    is_row = len(shape) == 1
    fits_conv = not is_row and all(side in SIDES for side in shape[1:])
    is_large = not is_row and min(shape[1:]) >= SIDES.start and not fits_conv
    if config.network == "hierarchical":
        require_ladder_shape(shape)
        return "hierarchical"
    if (config.network == "conv" and not fits_conv) or (config.network == "auto" and is_large):
        what = "vectors" if is_row else f"images of {shape[1]}x{shape[2]}"
        remedy = "--image-size 256 resizes the pictures of a folder" if is_large else "try mlp"
        raise UsageError(f"--model conv takes images from 16x16 to 256x256, not {what}: {remedy}")
    network = config.network
    if network == "auto":
        network = "conv" if fits_conv and tuple(shape) != MLP_IMAGE_SHAPE else "mlp"
    return network


def require_ladder_shape(shape: Sequence[int]) -> None:
    """Check that the hierarchical network takes items of a shape.

    Raises:
        UsageError: it does not.
    """
    is_row = len(shape) == 1
    if is_row or not all(side in LADDER_SIDES for side in shape[1:]):
        what = "vectors" if is_row else f"images of {shape[1]}x{shape[2]}"
        is_small = is_row or min(shape[1:]) < LADDER_SIDES.start
        remedy = "try mlp" if is_small else "try conv, or --image-size 64 for a folder of pictures"
        raise UsageError(
            f"--model hierarchical takes images from 16x16 to 64x64, not {what}: {remedy}"
        )
