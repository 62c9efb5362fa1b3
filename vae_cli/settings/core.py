"""The part of the schema that chooses the model and what it is trained for."""

from typing import Annotated, Literal

from annotated_types import Interval, Len

from vae_cli.settings.setting import Setting, section


@section
class ModelConfig:
    """The network."""

    network: Annotated[
        Literal["auto", "mlp", "conv", "two-level", "hierarchical"],
        Setting(
            "Fully connected, convolutional, fully connected with two levels of latents, or "
            "convolutional with several; auto is mlp for tables and 28x28 grey images, and conv "
            "for others.",
            "--model",
        ),
    ] = "auto"
    preset: Annotated[
        Literal["small", "base", "large"],
        Setting(
            "Width and depth of the convolutional network.",
            "--preset",
            only=("model.network", ("conv", "hierarchical")),
        ),
    ] = "small"
    levels: Annotated[
        int,
        Interval(ge=2, le=32),
        Setting(
            "Levels of latents; those below the top are in the sizes of the network's levels.",
            only=("model.network", ("hierarchical",)),
        ),
    ] = 3
    level_channels: Annotated[
        int,
        Interval(ge=1, le=256),
        Setting(
            "Channels of the latents of each level below the top.",
            only=("model.network", ("hierarchical",)),
        ),
    ] = 4
    hidden: Annotated[
        tuple[Annotated[int, Interval(ge=1, le=65536)], ...],
        Len(1, 16),
        Setting(
            "Width of a hidden layer of the mlp's encoder; 400,200 makes two layers. "
            "The decoder has the same layers in reverse.",
            "--hidden",
            only=("model.network", ("mlp", "two-level")),
        ),
    ] = (400,)
    latent_dim: Annotated[
        int, Interval(ge=1, le=4096), Setting("Dimensions of the latent space.", "--latent-dim")
    ] = 20
    activation: Annotated[
        Literal["relu", "tanh", "silu", "gelu"], Setting("Function between the layers.")
    ] = "relu"
    gated: Annotated[
        bool,
        Setting(
            "Multiply each hidden layer of the mlp by gates instead of using the activation.",
            only=("model.network", ("mlp", "two-level")),
        ),
    ] = False
    bounded: Annotated[
        bool, Setting("Hold the log-variance of the posterior between -6 and 2.")
    ] = False
    output_bias: Annotated[
        Literal["random", "data"],
        Setting("Start of the decoder's last bias; data is the mean of the training set."),
    ] = "random"


@section
class ObjectiveConfig:
    """The objective; docs/objectives.md has the equations."""

    name: Annotated[
        Literal["elbo", "capacity", "iwae", "dreg", "miwae", "tc", "mmd"],
        Setting("What is minimized; elbo is distortion plus KL.", "--objective"),
    ] = "elbo"
    beta: Annotated[
        float,
        Interval(ge=0, le=1e6),
        Setting(
            "Weight of the KL divergence in the loss; of tc, weight of the total correlation.",
            "--beta",
            only=("objective.name", ("elbo", "tc")),
        ),
    ] = 1.0
    free_bits: Annotated[
        float,
        Interval(ge=0, le=1e6),
        Setting(
            "KL in nats below which a dimension or level costs nothing more; 0 is off.",
            only=("objective.name", ("elbo",)),
        ),
    ] = 0.0
    free_bits_by: Annotated[
        Literal["dimension", "level"],
        Setting("What free bits are counted for.", only=("objective.name", ("elbo",))),
    ] = "dimension"
    samples: Annotated[
        int,
        Interval(ge=1, le=10_000),
        Setting(
            "Importance samples K per item.", only=("objective.name", ("iwae", "dreg", "miwae"))
        ),
    ] = 5
    groups: Annotated[
        int,
        Interval(ge=1, le=1000),
        Setting(
            "Groups of K samples whose bounds are averaged.", only=("objective.name", ("miwae",))
        ),
    ] = 4
    capacity: Annotated[
        float,
        Interval(ge=0, le=1e6),
        Setting("KL in nats that is held.", only=("objective.name", ("capacity",))),
    ] = 25.0
    gamma: Annotated[
        float,
        Interval(ge=0, le=1e6),
        Setting(
            "Weight of the distance between KL and capacity.",
            only=("objective.name", ("capacity",)),
        ),
    ] = 10.0
    alpha: Annotated[
        float,
        Interval(ge=-1e6, le=1),
        Setting("One minus the weight of the KL.", only=("objective.name", ("mmd",))),
    ] = 1.0
    mmd_weight: Annotated[
        float,
        Interval(ge=0, le=1e9),
        Setting(
            "The weight lambda of InfoVAE: the discrepancy is weighted by alpha + lambda - 1.",
            only=("objective.name", ("mmd",)),
        ),
    ] = 1000.0
    warmup_epochs: Annotated[
        int,
        Interval(ge=0, le=100_000),
        Setting("Epochs during which the weight of the KL, or the capacity, rises from 0."),
    ] = 0
    warmup_cycles: Annotated[
        int,
        Interval(ge=1, le=1000),
        Setting("Times that the warm-up is repeated, each after as many epochs at full weight."),
    ] = 1

    @property
    def epochs_of_warmup(self) -> int:
        """After how many epochs the warm-up has ended, with all its cycles."""
        return (2 * self.warmup_cycles - 1) * self.warmup_epochs


@section
class LikelihoodConfig:
    """The likelihood; docs/objectives.md has the equations."""

    name: Annotated[
        Literal[
            "auto", "mse", "gaussian", "bernoulli", "binarized", "laplace", "logistic", "columns"
        ],
        Setting(
            "Distribution of an item around the decoder's output; auto is mse for images and "
            "columns for tables.",
            "--likelihood",
        ),
    ] = "auto"
    binarization: Annotated[
        Literal["dynamic", "static"],
        Setting(
            "Draw the black and white images of the training set anew at every step, or once.",
            only=("likelihood.name", ("binarized",)),
        ),
    ] = "dynamic"
    scale: Annotated[
        Literal["learned", "optimal", "fixed"],
        Setting(
            "The standard deviation of gaussian: learned with the weights, optimal per batch, or "
            "fixed.",
            only=("likelihood.name", ("gaussian",)),
        ),
    ] = "learned"
    sigma: Annotated[
        float,
        Interval(ge=0.0025, le=100),
        Setting("The fixed standard deviation of gaussian.", only=("likelihood.scale", ("fixed",))),
    ] = 1.0
    components: Annotated[
        int,
        Interval(ge=1, le=100),
        Setting("Components of the mixture for a pixel.", only=("likelihood.name", ("logistic",))),
    ] = 5


@section
class PriorConfig:
    """The prior; docs/objectives.md has the equations."""

    name: Annotated[
        Literal["normal", "vamp", "mog", "realnvp"],
        Setting("Distribution of the latents that the posteriors are compared with.", "--prior"),
    ] = "normal"
    components: Annotated[
        int,
        Interval(ge=1, le=100_000),
        Setting(
            "Pseudo-inputs of vamp, or components of mog.", only=("prior.name", ("vamp", "mog"))
        ),
    ] = 500
    layers: Annotated[
        int,
        Interval(ge=1, le=100),
        Setting("Coupling layers of realnvp.", only=("prior.name", ("realnvp",))),
    ] = 6
    hidden: Annotated[
        int,
        Interval(ge=1, le=65536),
        Setting(
            "Width of the hidden layers in realnvp's couplings.",
            only=("prior.name", ("realnvp",)),
        ),
    ] = 128
