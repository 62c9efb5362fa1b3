"""The posteriors: what an encoder says about latents; docs/objectives.md has the equations."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

from vae_cli.settings.variant import Setting, section, variant

if TYPE_CHECKING:
    from vae_cli.model import Head
    from vae_cli.model.heads import Limits

# What objectives, priors and networks ask of a posterior:
#   normal    independent normal variables, with a KL of each dimension in closed form
#   density   other continuous latents, with samples and their densities
#   codes     entries of a codebook
PosteriorKind = Literal["normal", "density", "codes"]


@section
class Posterior(ABC):
    """Settings of a posterior."""

    kind: ClassVar[PosteriorKind]
    priors: ClassVar[tuple[str, ...]]  # the names of those that it can be compared with

    name: Annotated[
        str,
        Setting("What an encoder says about the latents of an item.", "posterior"),
    ] = field(init=False)

    def check(self, latent_dim: int) -> None:  # noqa: B027  most are defined for all
        """Check that there are such latents with so many dimensions.

        Raises:
            UsageError: there are not.
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


PosteriorConfig = Normal
