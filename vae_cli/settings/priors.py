"""The priors: what the latents are compared with; docs/objectives.md has the equations."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, final

from annotated_types import Interval

from vae_cli.errors import UsageError, join_or, mark
from vae_cli.settings.posteriors import Posterior
from vae_cli.settings.variant import Setting, section, variant

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.data.dataset import Spec
    from vae_cli.model import Head, priors
    from vae_cli.model import Posterior as EncodedPosterior

    Encode = Callable[[Tensor], EncodedPosterior]


@section
class PriorFields:
    """What the settings of all priors have."""

    name: Annotated[
        str,
        Setting(
            "Distribution of the latents that the posteriors are compared with; auto is normal, "
            "and uniform where latents have limits.",
            "prior",
        ),
    ] = field(init=False)


@final
@variant("auto")
class AutoPrior(PriorFields):
    """The prior that suits the posterior."""

    def choose(self, posterior: Posterior) -> "type[Normal | Uniform]":
        """A standard normal distribution if it can be compared with that."""
        return Normal if Normal.name in posterior.priors else Uniform


@section
class Prior(PriorFields, ABC):
    """Settings of a prior."""

    def check(self, posterior: Posterior, latent_dim: int, spec: "Spec") -> None:  # noqa: ARG002
        """Check that the prior is defined for a posterior of latents, and for the items.

        Raises:
            UsageError: it is not.
        """
        if self.name not in posterior.priors:
            raise UsageError(
                f"{mark(f'prior.name={self.name}')} cannot be compared with "
                f"{mark(f'posterior.name={posterior.name}')}: it takes {join_or(posterior.priors)}"
            )

    def check_items(self, count: int) -> None:
        """Check that the training set has enough items.

        Raises:
            UsageError: it has not.
        """

    @abstractmethod
    def build(self, latents: "Latents") -> "priors.Prior":
        """The prior of the latents that an encoder makes."""


@final
@dataclass(frozen=True, kw_only=True)
class Latents:
    """What a prior is of: the latents that an encoder makes.

    Attributes:
        shape: of the items as the encoder takes them.
        head: of the encoder, which says what the latents are.
        encode: the encoder.
        condition: the number of values of a condition; 0 if there is none.
    """

    shape: Sequence[int]
    head: "Head"
    encode: "Encode"
    condition: int = 0


@final
@variant("normal")
class Normal(Prior):
    """A standard normal distribution."""

    def build(self, latents: "Latents") -> "priors.Prior":
        """The same for every encoder."""
        from vae_cli.model import priors

        return priors.StandardNormal(*latents.head.event_shape)


@final
@variant("vamp")
class Vamp(Prior):
    """A mixture of the posteriors of learned pseudo-inputs (Tomczak & Welling, 2018)."""

    components: Annotated[int, Interval(ge=1, le=100_000), Setting("Pseudo-inputs.")] = 500

    def check(self, posterior: Posterior, latent_dim: int, spec: "Spec") -> None:
        """Check that the pseudo-inputs need no condition.

        Raises:
            UsageError: they do.
        """
        super().check(posterior, latent_dim, spec)
        if spec.condition:
            raise UsageError(
                f"{mark('prior.name=vamp')} has pseudo-inputs without a condition: leave out "
                f"{mark('data.condition')}, or take {mark('prior.name=conditional')}"
            )

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

    def build(self, latents: "Latents") -> "priors.Prior":
        """Pseudo-inputs that are random, until those of a training start as items."""
        import torch

        from vae_cli.model import priors

        start, is_image = torch.rand(self.components, *latents.shape), len(latents.shape) > 1
        return priors.VampPrior(latents.encode, start, latents.head.latent_dim, is_image=is_image)


@final
@variant("mog")
class Mixture(Prior):
    """A mixture of normal distributions that are learned."""

    components: Annotated[
        int, Interval(ge=1, le=100_000), Setting("Components of the mixture.")
    ] = 500

    def build(self, latents: "Latents") -> "priors.Prior":
        """The same for every encoder."""
        from vae_cli.model import priors

        return priors.MixtureOfNormals(latents.head.latent_dim, self.components)


@final
@variant("realnvp")
class RealNVP(Prior):
    """A normal distribution that is warped by invertible layers (Dinh et al., 2017)."""

    layers: Annotated[int, Interval(ge=1, le=100), Setting("Coupling layers.")] = 6
    hidden: Annotated[
        int, Interval(ge=1, le=65536), Setting("Width of the hidden layers in the couplings.")
    ] = 128

    def check(self, posterior: Posterior, latent_dim: int, spec: "Spec") -> None:
        """Check that there are two dimensions to couple.

        Raises:
            UsageError: there are not.
        """
        super().check(posterior, latent_dim, spec)
        if latent_dim == 1:
            raise UsageError(
                f"{mark('prior.name=realnvp')} couples dimensions: "
                f"{mark('model.latent_dim')} must be 2 or more"
            )

    def build(self, latents: "Latents") -> "priors.Prior":
        """The same for every encoder."""
        from vae_cli.model import priors

        return priors.RealNVP(latents.head.latent_dim, self.layers, self.hidden)


@final
@variant("conditional")
class Conditional(Prior):
    """A normal distribution that depends on the condition (Sohn et al., 2015)."""

    hidden: Annotated[
        int,
        Interval(ge=1, le=65536),
        Setting("Width of the layer that takes the condition."),
    ] = 128

    def check(self, posterior: Posterior, latent_dim: int, spec: "Spec") -> None:
        """Check that there is a condition.

        Raises:
            UsageError: there is none.
        """
        super().check(posterior, latent_dim, spec)
        if not spec.condition:
            raise UsageError(f"{mark('prior.name=conditional')} needs {mark('data.condition')}")

    def build(self, latents: "Latents") -> "priors.Prior":
        """The same for every encoder."""
        from vae_cli.model import priors

        return priors.ConditionalNormal(latents.head.latent_dim, latents.condition, self.hidden)


@final
@variant("uniform")
class Uniform(Prior):
    """The same density, or probability, for all that the latents may be."""

    def build(self, latents: "Latents") -> "priors.Prior":
        """That of the posterior."""
        return latents.head.uniform()


ChosenPrior = Normal | Vamp | Mixture | RealNVP | Conditional | Uniform
PriorConfig = AutoPrior | ChosenPrior
