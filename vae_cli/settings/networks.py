"""The networks, with the latents between them: the table `[model]`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

from annotated_types import Interval, Len

from vae_cli.errors import UsageError, mark
from vae_cli.settings.posteriors import Posterior
from vae_cli.settings.priors import Latents, Prior
from vae_cli.settings.variant import Setting, section, variant

if TYPE_CHECKING:
    from torch import nn

    from vae_cli.data.dataset import Spec
    from vae_cli.model import Codec, Condition, Head, LatentModel, Likelihood
    from vae_cli.model.heads import Limits

MLP_IMAGE_SHAPE = (1, 28, 28)  # the images for which the default mlp was designed
LADDER_SIDES = range(16, 65)  # pixels; the heights and widths that the hierarchical network takes
CONVOLUTIONAL_WARMUP = 25  # steps at least; docs/figures.md has losses with more and fewer


@section
class NetworkFields:
    """What the settings of all networks have."""

    network: Annotated[
        str,
        Setting(
            "Fully connected, convolutional, fully connected with two levels of latents, or "
            "convolutional with several; auto is mlp for tables, vectors, 28x28 grey images and "
            "sides below 16, and conv for others.",
            "model",
        ),
    ] = field(init=False)
    latent_dim: Annotated[
        int, Interval(ge=1, le=4096), Setting("Dimensions of the latent space.", "latent-dim")
    ] = 20
    activation: Annotated[
        Literal["relu", "tanh", "silu", "gelu"], Setting("Function between the layers.")
    ] = "relu"
    bounded: Annotated[
        bool, Setting("Hold the log-variance of the posterior between -6 and 2.")
    ] = False
    condition_dropout: Annotated[
        float,
        Interval(ge=0, le=1),
        Setting(
            "Share of the items whose condition is hidden in a training step, so that the model "
            "can do without."
        ),
    ] = 0.1
    output_bias: Annotated[
        Literal["random", "data"],
        Setting(
            "Start of the decoder's last bias; data is the mean of the training set, from which "
            "tables and fsq always start."
        ),
    ] = "random"


@section
class LayerFields:
    """What the fully connected networks share."""

    size_key: ClassVar[str] = "model.hidden"

    hidden: Annotated[
        tuple[Annotated[int, Interval(ge=1, le=65536)], ...],
        Len(1, 16),
        Setting(
            "Width of a hidden layer of the encoder; 400,200 makes two layers. "
            "The decoder has the same layers in reverse.",
            "hidden",
        ),
    ] = (400,)
    gated: Annotated[
        bool,
        Setting("Multiply each hidden layer by gates instead of using the activation."),
    ] = False


@section
class PresetFields:
    """What the convolutional networks share."""

    size_key: ClassVar[str] = "model.preset"

    preset: Annotated[
        Literal["small", "base", "large"],
        Setting("Width and depth of the convolutional network.", "preset"),
    ] = "small"


@section
class GridFields:
    """What the convolutional network with one level of latents has besides."""

    grid: Annotated[
        bool,
        Setting(
            "Keep the places of the image: a latent vector for each place of the coarsest level "
            "instead of one for the item."
        ),
    ] = False


@final
@variant("auto", key="network")
class AutoNetwork(GridFields, LayerFields, PresetFields, NetworkFields):
    """The network that suits the items; it has the settings of all that may be chosen."""

    def choose(self, spec: "Spec") -> "type[MLP | Conv]":
        """The network for images or rows: never an mlp for large images."""
        is_small = spec.is_image and min(spec.shape[1:]) < _conv_sides().start
        is_mlp = not spec.is_image or is_small or tuple(spec.shape) == MLP_IMAGE_SHAPE
        return MLP if is_mlp and not self.grid else Conv


@section
class Network(NetworkFields, ABC):
    """Settings of a network."""

    size_key: ClassVar[str]  # the setting that makes the network smaller
    has_levels: ClassVar[bool] = False  # several levels of latents
    min_warmup: ClassVar[int] = 0  # steps in which the learning rate rises, if that is automatic

    def limits(self, spec: "Spec") -> "Limits | None":
        """Where the log-variance of the posterior is held; that of a row always is somewhere."""
        from vae_cli.model.heads import NARROW, WIDE

        if self.bounded:
            return NARROW
        return None if spec.is_image else WIDE

    def check(self, spec: "Spec", posterior: Posterior, prior: Prior) -> None:  # noqa: ARG002
        """Check that the network takes such items, and such latents.

        Raises:
            UsageError: it does not.
        """
        if not self.has_levels:
            return
        own = mark(f"model.network={self.network}")
        if spec.condition:
            raise UsageError(
                f"{own} takes no condition: leave out {mark('data.condition')}, or try mlp or conv"
            )
        if posterior.kind != "normal":
            raise UsageError(
                f"{own} has several levels of latents, which are normal: leave out "
                f"{mark(f'posterior.name={posterior.name}')}, or try mlp or conv"
            )

    @property
    def is_grid(self) -> bool:
        """Whether the latents have places, and are no vector."""
        return False

    def event_shape(self, spec: "Spec") -> tuple[int, ...]:  # noqa: ARG002  a grid has the items'
        """The shape of the latents of one item, those of the top level if there are several."""
        return (self.latent_dim,)

    def build_head(self, spec: "Spec", posterior: Posterior) -> "Head":
        """The end of the encoder."""
        return posterior.build(self.event_shape(spec), self.limits(spec))

    @abstractmethod
    def build(self, spec: "Spec", parts: "Parts") -> "LatentModel":
        """The untrained model, with weights from torch's global random numbers.

        Args:
            spec: what the items are.
            parts: what the network connects.
        """


@final
@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a network connects.

    Attributes:
        likelihood: what the decoder's outputs mean.
        posterior: of the latents; its settings, because the network says how many there are.
        prior: of the latents; its settings, because one may need the encoder.
        codec: the way from items to the network, which the model owns.
        condition: what the model is conditioned on; None if it is not.
        classes: that a classifier of the items tells apart; 0 if the model has none.
    """

    likelihood: "Likelihood"
    posterior: Posterior
    prior: Prior
    codec: "Codec"
    condition: "Condition | None" = None
    classes: int = 0

    @property
    def width(self) -> int:
        """The number of values of a condition; 0 if there is none."""
        return 0 if self.condition is None else self.condition.width


@final
@variant("mlp", key="network")
class MLP(LayerFields, Network):
    """Fully connected layers."""

    def build(self, spec: "Spec", parts: "Parts") -> "LatentModel":
        """An encoder, and a decoder with the same layers in reverse."""
        from vae_cli.model import VAE, ClassHead, MLPDecoder, MLPEncoder

        shape, activation = input_shape(spec, parts.codec), activation_of(self.activation)
        head, likelihood = self.build_head(spec, parts.posterior), parts.likelihood
        encoder = MLPEncoder(
            shape, self.hidden, head, activation, gated=self.gated, condition=parts.width
        )
        decoder = MLPDecoder(
            likelihood.output_shape(shape),
            self.hidden,
            head.latent_dim,
            activation,
            gated=self.gated,
            condition=parts.width,
        )
        latents = Latents(shape=shape, head=head, encode=encoder.forward, condition=parts.width)
        prior = parts.prior.build(latents)
        classifier = None
        if parts.classes:
            classes = ClassHead(parts.classes)
            classifier = MLPEncoder(shape, self.hidden, classes, activation, gated=self.gated)
        return VAE(
            encoder,
            decoder,
            likelihood,
            prior,
            parts.codec,
            condition=parts.condition,
            classifier=classifier,
        )


@final
@variant("conv", key="network")
class Conv(GridFields, PresetFields, Network):
    """Convolutions with residual blocks."""

    min_warmup: ClassVar[int] = CONVOLUTIONAL_WARMUP

    def check(self, spec: "Spec", posterior: Posterior, prior: Prior) -> None:
        """Check that the items are images of a size that it takes, and a grid of latents.

        Raises:
            UsageError: one of them does not hold.
        """
        super().check(spec, posterior, prior)
        if self.grid:
            check_grid(posterior, prior)
        shape, sides = spec.shape, _conv_sides()
        if len(shape) > 1 and all(side in sides for side in shape[1:]):
            return
        is_large = len(shape) > 1 and min(shape[1:]) >= sides.start
        remedy = (
            f"{mark('data.image_size=256')} resizes the pictures of a folder"
            if is_large
            else "try mlp"
        )
        raise UsageError(
            f"{mark('model.network=conv')} takes images from 16x16 to 256x256, "
            f"not {_describe(shape)}: {remedy}"
        )

    @property
    def is_grid(self) -> bool:
        """Whether the latents have places, and are no vector."""
        return self.grid

    def event_shape(self, spec: "Spec") -> tuple[int, ...]:
        """The shape of the latents of one item: a vector, or one for each place of a grid."""
        from vae_cli.model.networks.conv import choose_sides

        return (self.latent_dim, *(choose_sides(spec.shape)[-1] if self.grid else ()))

    def build(self, spec: "Spec", parts: "Parts") -> "LatentModel":
        """An encoder, and a decoder that mirrors it."""
        from vae_cli.model import (
            PRESETS,
            VAE,
            ClassHead,
            ConvDecoder,
            ConvEncoder,
            choose_conv_sizes,
        )

        shape, likelihood = spec.shape, parts.likelihood
        sizes = choose_conv_sizes(shape, PRESETS[self.preset], activation_of(self.activation))
        head, width = self.build_head(spec, parts.posterior), parts.width
        encoder = ConvEncoder(sizes, head, condition=width)
        outputs = likelihood.outputs_per_value
        decoder = ConvDecoder(sizes, head.event_shape, outputs, condition=width)
        latents = Latents(shape=shape, head=head, encode=encoder.forward, condition=width)
        prior = parts.prior.build(latents)
        classifier = ConvEncoder(sizes, ClassHead(parts.classes)) if parts.classes else None
        return VAE(
            encoder,
            decoder,
            likelihood,
            prior,
            parts.codec,
            condition=parts.condition,
            classifier=classifier,
        )


@final
@variant("two-level", key="network")
class TwoLevel(LayerFields, Network):
    """Fully connected layers, with two levels of latents."""

    has_levels: ClassVar[bool] = True

    def build(self, spec: "Spec", parts: "Parts") -> "LatentModel":
        """An encoder for each level, a prior of the lower one, and a decoder of both."""
        from vae_cli.model import JointDecoder, JointEncoder, MLPEncoder, NormalHead, TwoLevelVAE

        shape, activation = input_shape(spec, parts.codec), activation_of(self.activation)
        dims, gated, likelihood = self.latent_dim, self.gated, parts.likelihood
        heads = [NormalHead(dims, limits=self.limits(spec)) for _ in range(3)]
        encoder = MLPEncoder(shape, self.hidden, heads[0], activation, gated=gated)
        lower_encoder = JointEncoder(shape, self.hidden, heads[1], activation, gated=gated)
        lower_prior = MLPEncoder([dims], self.hidden[::-1], heads[2], activation, gated=gated)
        outputs = likelihood.output_shape(shape)
        decoder = JointDecoder(outputs, self.hidden, dims, activation, gated=gated)
        latents = Latents(shape=shape, head=heads[0], encode=encoder.forward)
        return TwoLevelVAE(
            encoder=encoder,
            lower_encoder=lower_encoder,
            lower_prior=lower_prior,
            decoder=decoder,
            likelihood=likelihood,
            prior=parts.prior.build(latents),
            codec=parts.codec,
        )


@final
@variant("hierarchical", key="network")
class Hierarchical(PresetFields, Network):
    """Convolutions, with a level of latents in several sizes (Sønderby et al., 2016)."""

    has_levels: ClassVar[bool] = True
    min_warmup: ClassVar[int] = CONVOLUTIONAL_WARMUP

    levels: Annotated[
        int,
        Interval(ge=2, le=32),
        Setting("Levels of latents; those below the top are in the sizes of the network's levels."),
    ] = 3
    level_channels: Annotated[
        int,
        Interval(ge=1, le=256),
        Setting("Channels of the latents of each level below the top."),
    ] = 4

    def check(self, spec: "Spec", posterior: Posterior, prior: Prior) -> None:
        """Check that the items are images of a size that it takes, and the prior of one level.

        Raises:
            UsageError: one of them does not hold.
        """
        super().check(spec, posterior, prior)
        shape, is_row = spec.shape, not spec.is_image
        if is_row or not all(side in LADDER_SIDES for side in shape[1:]):
            is_small = is_row or min(shape[1:]) < LADDER_SIDES.start
            large = f"try conv, or {mark('data.image_size=64')} for a folder of pictures"
            raise UsageError(
                f"{mark('model.network=hierarchical')} takes images from 16x16 to 64x64, "
                f"not {_describe(shape)}: {'try mlp' if is_small else large}"
            )
        if prior.name == "vamp":
            raise UsageError(
                f"{mark('prior.name=vamp')} is for one level of latents: "
                f"{mark('model.network=hierarchical')} takes normal, mog or realnvp"
            )

    def build(self, spec: "Spec", parts: "Parts") -> "LatentModel":
        """An encoder, a decoder, and a rung of the ladder for each level below the top."""
        from vae_cli.model import (
            PRESETS,
            ConvDecoder,
            ConvEncoder,
            LadderVAE,
            Rung,
            choose_conv_sizes,
        )

        shape, likelihood = spec.shape, parts.likelihood
        sizes = choose_conv_sizes(shape, PRESETS[self.preset], activation_of(self.activation))
        head = self.build_head(spec, parts.posterior)
        encoder = ConvEncoder(sizes, head)
        decoder = ConvDecoder(sizes, self.latent_dim, likelihood.outputs_per_value)
        stages = divide_levels(self.levels - 1, len(sizes.widths))
        rungs = [Rung(sizes, stage, self.level_channels) for stage in stages]
        latents = Latents(shape=shape, head=head, encode=encoder.forward)
        prior, codec = parts.prior.build(latents), parts.codec
        return LadderVAE(encoder, decoder, rungs, likelihood=likelihood, prior=prior, codec=codec)


NetworkConfig = AutoNetwork | MLP | Conv | TwoLevel | Hierarchical
ChosenNetwork = MLP | Conv | TwoLevel | Hierarchical


def check_grid(posterior: Posterior, prior: Prior) -> None:
    """Check that a posterior and a prior are defined for a grid of latents.

    Raises:
        UsageError: one of them is for vectors.
    """
    grid = mark("model.grid=true")
    if posterior.kind == "density":
        raise UsageError(
            f"{mark(f'posterior.name={posterior.name}')} is for latents that are vectors: "
            f"{grid} takes normal, vq, rvq or fsq"
        )
    if prior.name not in {"normal", "uniform"}:
        raise UsageError(
            f"{mark(f'prior.name={prior.name}')} is for latents that are vectors: "
            f"leave it or {grid} out"
        )


def input_shape(spec: "Spec", codec: "Codec") -> tuple[int, ...]:
    """The shape of what a network takes for an item: an image as it is, or an encoded row."""
    from vae_cli.model import TableCodec

    return codec.input_shape if isinstance(codec, TableCodec) else spec.shape


def divide_levels(levels: int, stages: int) -> list[int]:
    """The stage of each level, from coarse to fine; the coarser ones get what does not divide."""
    return sorted(level % stages for level in range(levels))


def activation_of(name: Literal["relu", "tanh", "silu", "gelu"]) -> "type[nn.Module]":
    """The module of an activation."""
    from torch import nn

    return {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU}[name]


def _conv_sides() -> range:
    from vae_cli.model.networks.conv import SIDES

    return SIDES


def _describe(shape: tuple[int, ...]) -> str:
    return "vectors" if len(shape) == 1 else f"images of {shape[1]}x{shape[2]}"
