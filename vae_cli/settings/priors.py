"""The priors: what the latents are compared with; docs/objectives.md has the equations."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, final

from annotated_types import Interval

from vae_cli.errors import UsageError, mark
from vae_cli.settings.variant import Setting, section, variant

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.model import DiagonalNormal, priors

    Encode = Callable[[Tensor], DiagonalNormal]


@section
class Prior(ABC):
    """Settings of a prior."""

    name: Annotated[
        str,
        Setting("Distribution of the latents that the posteriors are compared with.", "prior"),
    ] = field(init=False)

    def check(self, latent_dim: int) -> None:  # noqa: B027  most are defined for all
        """Check that the prior is defined for latents of a dimension.

        Raises:
            UsageError: it is not.
        """

    def check_items(self, count: int) -> None:  # noqa: B027  most need none
        """Check that the training set has enough items.

        Raises:
            UsageError: it has not.
        """

    @abstractmethod
    def build(self, shape: Sequence[int], latent_dim: int, encode: "Encode") -> "priors.Prior":
        """The prior of the latents that an encoder makes of items of a shape."""


@final
@variant("normal")
class Normal(Prior):
    """A standard normal distribution."""

    def build(self, shape: Sequence[int], latent_dim: int, encode: "Encode") -> "priors.Prior":  # noqa: ARG002
        """The same for every encoder."""
        from vae_cli.model import priors

        return priors.StandardNormal(latent_dim)


@final
@variant("vamp")
class Vamp(Prior):
    """A mixture of the posteriors of learned pseudo-inputs (Tomczak & Welling, 2018)."""

    components: Annotated[int, Interval(ge=1, le=100_000), Setting("Pseudo-inputs.")] = 500

    def check_items(self, count: int) -> None:
        """Check that there is a training item for each pseudo-input to start as.

        Raises:
            UsageError: there are more pseudo-inputs.
        """
        if self.components > count:
            raise UsageError(
                f"{mark('prior.name=vamp')} with {self.components} pseudo-inputs, "
                "which start as training "
                f"items, of which there are {count}: {mark(f'prior.components={count}')} or fewer"
            )

    def build(self, shape: Sequence[int], latent_dim: int, encode: "Encode") -> "priors.Prior":
        """Pseudo-inputs that are random, until those of a training start as items."""
        import torch

        from vae_cli.model import priors

        start, is_image = torch.rand(self.components, *shape), len(shape) > 1
        return priors.VampPrior(encode, start, latent_dim, is_image=is_image)


@final
@variant("mog")
class Mixture(Prior):
    """A mixture of normal distributions that are learned."""

    components: Annotated[
        int, Interval(ge=1, le=100_000), Setting("Components of the mixture.")
    ] = 500

    def build(self, shape: Sequence[int], latent_dim: int, encode: "Encode") -> "priors.Prior":  # noqa: ARG002
        """The same for every encoder."""
        from vae_cli.model import priors

        return priors.MixtureOfNormals(latent_dim, self.components)


@final
@variant("realnvp")
class RealNVP(Prior):
    """A normal distribution that is warped by invertible layers (Dinh et al., 2017)."""

    layers: Annotated[int, Interval(ge=1, le=100), Setting("Coupling layers.")] = 6
    hidden: Annotated[
        int, Interval(ge=1, le=65536), Setting("Width of the hidden layers in the couplings.")
    ] = 128

    def check(self, latent_dim: int) -> None:
        """Check that there are two dimensions to couple.

        Raises:
            UsageError: there are not.
        """
        if latent_dim == 1:
            raise UsageError(
                f"{mark('prior.name=realnvp')} couples dimensions: "
                f"{mark('model.latent_dim')} must be 2 or more"
            )

    def build(self, shape: Sequence[int], latent_dim: int, encode: "Encode") -> "priors.Prior":  # noqa: ARG002
        """The same for every encoder."""
        from vae_cli.model import priors

        return priors.RealNVP(latent_dim, self.layers, self.hidden)


PriorConfig = Normal | Vamp | Mixture | RealNVP
