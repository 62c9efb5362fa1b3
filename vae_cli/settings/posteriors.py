"""The posteriors: what an encoder says about latents; docs/objectives.md has the equations."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

from annotated_types import Interval, Len

from vae_cli.errors import UsageError, mark
from vae_cli.settings.variant import Setting, section, variant

if TYPE_CHECKING:
    from vae_cli.model import Head
    from vae_cli.model.heads import Limits

# What objectives, priors and networks ask of a posterior:
#   normal    independent normal variables, with a KL of each dimension in closed form
#   density   other continuous latents, with samples and their densities
#   codes     entries of a codebook
PosteriorKind = Literal["normal", "density", "codes"]
# What an objective may be defined for: these posteriors, and what a network makes of their latents.
#   levels    several levels of them
#   grid      no vector, but one for each place of an image
LatentKind = Literal[PosteriorKind, "levels", "grid"]


@section
class Posterior(ABC):
    """Settings of a posterior."""

    kind: ClassVar[PosteriorKind]
    priors: ClassVar[tuple[str, ...]]  # the names of those that it can be compared with
    starts_at_mean: ClassVar[bool] = False  # whether the decoder starts at the mean of the data

    name: Annotated[
        str,
        Setting("What an encoder says about the latents of an item.", "posterior"),
    ] = field(init=False)

    def check(self, latent_dim: int) -> None:  # noqa: B027  most are defined for all
        """Check that there are such latents with so many dimensions.

        Raises:
            UsageError: there are not.
        """

    def check_items(self, event_shape: Sequence[int], count: int) -> None:  # noqa: B027
        """Check that the training set has enough items for latents of this shape.

        Raises:
            UsageError: it has not.
        """

    @abstractmethod
    def build(self, event_shape: Sequence[int], limits: "Limits | None") -> "Head":
        """The end of an encoder.

        Args:
            event_shape: of the latents of one item.
            limits: between which the logarithms of variances are held; None if there are none.
        """


@final
@variant("normal")
class Normal(Posterior):
    """Independent normal distributions (Kingma & Welling, 2014)."""

    kind: ClassVar[PosteriorKind] = "normal"
    priors: ClassVar[tuple[str, ...]] = ("normal", "conditional", "vamp", "mog", "realnvp")

    def build(self, event_shape: Sequence[int], limits: "Limits | None") -> "Head":
        """Means and log-variances."""
        from vae_cli.model import NormalHead

        return NormalHead(*event_shape, limits=limits)


MAX_FULL = 256  # dimensions, whose covariance is 65,536 values for each item


@final
@variant("full")
class Full(Posterior):
    """Normal distributions with a covariance between all dimensions (Kingma et al., 2016)."""

    kind: ClassVar[PosteriorKind] = "density"
    priors: ClassVar[tuple[str, ...]] = ("normal", "conditional", "mog", "realnvp")

    def check(self, latent_dim: int) -> None:
        """Check that there is memory for the covariances.

        Raises:
            UsageError: there are too many dimensions.
        """
        if latent_dim > MAX_FULL:
            raise UsageError(
                f"{mark('posterior.name=full')} has {mark('model.latent_dim')} squared values for "
                f"each item: {latent_dim} dimensions are too many, {MAX_FULL} are allowed"
            )

    def build(self, event_shape: Sequence[int], limits: "Limits | None") -> "Head":
        """Means and Cholesky factors."""
        from vae_cli.model import FullNormalHead

        (latent_dim,) = event_shape
        return FullNormalHead(latent_dim, limits)


@final
@variant("iaf")
class InverseAutoregressive(Posterior):
    """Normal distributions warped by inverse autoregressive flows (Kingma et al., 2016)."""

    kind: ClassVar[PosteriorKind] = "density"
    priors: ClassVar[tuple[str, ...]] = ("normal", "conditional", "mog", "realnvp")

    steps: Annotated[int, Interval(ge=1, le=32), Setting("Steps of the flow.")] = 2
    hidden: Annotated[
        int,
        Interval(ge=1, le=65536),
        Setting("Width of the hidden layers of the flow, and of what it knows about an item."),
    ] = 64

    def build(self, event_shape: Sequence[int], limits: "Limits | None") -> "Head":
        """Means, log-variances and the flow."""
        from vae_cli.model import FlowHead

        (latent_dim,) = event_shape
        return FlowHead(latent_dim, self.steps, self.hidden, limits)


@final
@variant("vmf")
class VonMisesFisher(Posterior):
    """Directions on a sphere with von Mises-Fisher distributions (Davidson et al., 2018)."""

    kind: ClassVar[PosteriorKind] = "density"
    priors: ClassVar[tuple[str, ...]] = ("uniform",)

    def check(self, latent_dim: int) -> None:
        """Check that there is a sphere.

        Raises:
            UsageError: there is one dimension.
        """
        if latent_dim == 1:
            raise UsageError(
                f"{mark('posterior.name=vmf')} is for directions, of which one dimension has two: "
                f"{mark('model.latent_dim')} must be 2 or more"
            )

    def build(self, event_shape: Sequence[int], limits: "Limits | None") -> "Head":  # noqa: ARG002
        """Directions and concentrations, which have limits of their own."""
        from vae_cli.model import SphereHead

        (latent_dim,) = event_shape
        return SphereHead(latent_dim)


MAX_FSQ_CODES = 2**24  # codes of which an evaluation counts each
MAX_CODE_DIM = 4  # of codes of a vector, if it is chosen: a codebook of 512 fills few dimensions


@section
class Codes(Posterior, ABC):
    """What the settings of all posteriors that are codes have."""

    kind: ClassVar[PosteriorKind] = "codes"
    priors: ClassVar[tuple[str, ...]] = ("uniform",)

    @abstractmethod
    def choose_dim(self, event_shape: Sequence[int]) -> int:
        """The number of dimensions of a code, for latents of this shape."""


@section
class CodebookFields:
    """What the posteriors with a codebook share."""

    codebook: Annotated[
        int, Interval(ge=2, le=65_536), Setting("Codes K that there are, in each stage.")
    ] = 512
    code_dim: Annotated[
        Annotated[int, Interval(ge=1, le=4096)] | Literal["auto"],
        Setting(
            "Dimensions of a code, of which latent_dim is a multiple; auto is at most 4, and "
            "latent_dim with grid."
        ),
    ] = "auto"
    commitment: Annotated[
        float,
        Interval(ge=0, le=1e6),
        Setting("Cost in nats of a squared distance of 1 between the encoder and its code."),
    ] = 0.25
    decay: Annotated[
        float, Interval(ge=0, le=0.9999), Setting("Of the moving averages that are the codebook.")
    ] = 0.99
    restart: Annotated[
        float,
        Interval(ge=0, le=0.9),
        Setting(
            "Share of the mean usage below which a code starts again as a latent of the batch; "
            "0 is never."
        ),
    ] = 0.5
    gradient: Annotated[
        Literal["straight-through", "rotation"],
        Setting("How the gradient of a code becomes that of the encoder."),
    ] = "straight-through"


@section
class Codebook(CodebookFields, Codes, ABC):
    """Settings of a posterior with a codebook."""

    @property
    def count(self) -> int:
        """The number of stages."""
        return 1

    def check(self, latent_dim: int) -> None:
        """Check that the latents can be divided into codes.

        Raises:
            UsageError: they cannot.
        """
        if self.code_dim != "auto" and latent_dim % self.code_dim:
            raise UsageError(
                f"{mark(f'model.latent_dim={latent_dim}')} is no multiple of "
                f"{mark(f'posterior.code_dim={self.code_dim}')}: take one that is, such as "
                f"{mark(f'model.latent_dim={round_up(latent_dim, self.code_dim)}')}"
            )

    def choose_dim(self, event_shape: Sequence[int]) -> int:
        """The number that is given, or the largest one that is small enough and divides."""
        length, *places = event_shape
        if self.code_dim != "auto":
            return self.code_dim
        if places:
            return length
        return max(dim for dim in range(1, MAX_CODE_DIM + 1) if length % dim == 0)

    def check_items(self, event_shape: Sequence[int], count: int) -> None:
        """Check that there is a latent for each code to start as.

        Raises:
            UsageError: there are more codes.
        """
        vectors = count * math.prod(event_shape) // self.choose_dim(event_shape)
        if vectors < self.codebook:
            raise UsageError(
                f"{mark(f'posterior.codebook={self.codebook}')} codes start as latents of training "
                f"items, of which there are {vectors}: "
                f"{mark(f'posterior.codebook={max(vectors, 2)}')} or fewer"
            )

    def build(self, event_shape: Sequence[int], limits: "Limits | None") -> "Head":  # noqa: ARG002
        """The nearest codes."""
        from vae_cli.model import CodesHead, VectorQuantizer

        quantizer = VectorQuantizer(
            self.codebook,
            self.choose_dim(event_shape),
            stages=self.count,
            decay=self.decay,
            restart=self.restart,
            is_rotated=self.gradient == "rotation",
        )
        return CodesHead(*event_shape, quantizer=quantizer, weight=self.commitment)


@final
@variant("vq")
class VQ(Codebook):
    """The nearest codes of a codebook (van den Oord et al., 2017)."""


@final
@variant("rvq")
class RVQ(Codebook):
    """Codes of several codebooks, each for what is left by those before (Lee et al., 2022)."""

    stages: Annotated[
        int, Interval(ge=2, le=64), Setting("Codebooks, whose codes are added up.")
    ] = 4

    @property
    def count(self) -> int:
        """The number of stages."""
        return self.stages


@final
@variant("fsq")
class FSQ(Codes):
    """Each dimension of a code is rounded to one of a few levels (Mentzer et al., 2024)."""

    # A decoder that has to learn the mean first drives the latents to the ends of the tanh, where
    # they stay: 5 of 1,000 codes are used then. docs/objectives.md has figures.
    starts_at_mean: ClassVar[bool] = True

    levels: Annotated[
        tuple[Annotated[int, Interval(ge=2, le=65_536)], ...],
        Len(1, 64),
        Setting("Levels of each dimension of a code, whose product is the number of codes."),
    ] = (8, 5, 5, 5)

    def check(self, latent_dim: int) -> None:
        """Check that the latents can be divided into codes, and that these can be numbered.

        Raises:
            UsageError: they cannot.
        """
        dim, text = len(self.levels), ",".join(map(str, self.levels))
        if math.prod(self.levels) > MAX_FSQ_CODES:
            raise UsageError(
                f"{mark(f'posterior.levels={text}')} are more than {MAX_FSQ_CODES:,} codes: "
                "take fewer or smaller levels"
            )
        if latent_dim % dim:
            raise UsageError(
                f"{mark(f'model.latent_dim={latent_dim}')} is no multiple of {dim}, the number of "
                f"{mark(f'posterior.levels={text}')}: take one that is, such as "
                f"{mark(f'model.latent_dim={round_up(latent_dim, dim)}')}"
            )

    def choose_dim(self, event_shape: Sequence[int]) -> int:  # noqa: ARG002
        """One for each number of levels."""
        return len(self.levels)

    def build(self, event_shape: Sequence[int], limits: "Limits | None") -> "Head":  # noqa: ARG002
        """The nearest levels."""
        from vae_cli.model import CodesHead, FiniteScalarQuantizer

        return CodesHead(*event_shape, quantizer=FiniteScalarQuantizer(self.levels))


PosteriorConfig = Normal | Full | InverseAutoregressive | VonMisesFisher | VQ | RVQ | FSQ


def round_up(number: int, unit: int) -> int:
    """The next multiple of a unit."""
    return -(-number // unit) * unit
