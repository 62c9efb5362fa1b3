"""The settings of components from outside that are modules: each kind builds them in its own way.

A module says by the names of its constructor's parameters what it needs of the model, such as
`latent_dim`. All other parameters are settings (`from_class.py`).
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast, final, get_args

from vae_cli.errors import OutsideCodeError, mark
from vae_cli.settings.likelihoods import Likelihood
from vae_cli.settings.networks import Network, Parts, activation_of, input_shape
from vae_cli.settings.objectives import Objective
from vae_cli.settings.posteriors import LatentKind, Posterior
from vae_cli.settings.priors import Latents, Prior
from vae_cli.settings.variant import section

if TYPE_CHECKING:
    from vae_cli.data.dataset import Spec
    from vae_cli.model import Codec, LatentModel, likelihoods, objectives, priors


class FromModule:
    """What the settings of a component share that are made from its module.

    Attributes:
        part: the class of the module.
        own: the parameters of its constructor that are settings.
        asked: those that are given to it, because the model knows them.
        instance: a module that is copied in place of a new one; None if there is none.
    """

    part: ClassVar[type]
    own: ClassVar[tuple[str, ...]] = ()
    asked: ClassVar[frozenset[str]] = frozenset()
    instance: ClassVar[Any] = None

    def make(self, **offered: Callable[[], Any]) -> Any:
        """The module, on torch's default device; of what is offered, it gets what it asks for."""
        if self.instance is not None:
            import torch

            return copy.deepcopy(self.instance).to(torch.get_default_device())
        values = {name: getattr(self, name) for name in self.own}
        given = {name: offer() for name, offer in offered.items() if name in self.asked}
        return self.part(**values, **given)


@section
class ModuleObjective(FromModule, Objective):
    """An objective from outside. Its class may say for which latents it is defined."""

    takes: ClassVar[tuple[LatentKind, ...]] = get_args(LatentKind)

    def build(self, model: "LatentModel") -> "objectives.Objective":
        """The module."""
        return cast("objectives.Objective", self.make(model=lambda: model))


@section
class ModulePrior(FromModule, Prior):
    """A prior from outside."""

    def check(self, posterior: Posterior, latent_dim: int, spec: "Spec") -> None:  # noqa: ARG002
        """It is compared with samples of any posterior whose latents are numbers.

        Raises:
            OutsideCodeError: they are codes.
        """
        if posterior.kind == "codes":
            raise OutsideCodeError(
                f"{mark(f'posterior.name={posterior.name}')} has codes, for which "
                f"{mark(f'prior.name={self.name}')} is not defined: leave one of them out"
            )

    def build(self, latents: Latents) -> "priors.Prior":
        """The module."""
        made = self.make(
            shape=lambda: tuple(latents.shape),
            latent_dim=lambda: latents.head.latent_dim,
            event_shape=lambda: latents.head.event_shape,
            encode=lambda: latents.encode,
            condition=lambda: latents.condition,
        )
        return cast("priors.Prior", made)


@section
class ModuleLikelihood(FromModule, Likelihood):
    """A likelihood from outside, of images unless its class has `is_for_rows = True`."""

    def build(self, codec: "Codec") -> "likelihoods.Likelihood":
        """The module."""
        return cast("likelihoods.Likelihood", self.make(codec=lambda: codec))


@section
class ModuleNetwork(FromModule, Network):
    """A network from outside: a whole model, or an encoder and a decoder."""

    size_key: ClassVar[str] = "model.latent_dim"

    def check(self, spec: "Spec", posterior: Posterior, prior: Prior) -> None:
        """Check that it takes what is set beside it.

        Raises:
            OutsideCodeError: it does not.
        """
        super().check(spec, posterior, prior)
        for name, is_set, key in (
            ("condition", bool(spec.condition), "data.condition"),
            ("head", posterior.name != "normal", f"posterior.name={posterior.name}"),
            ("activation", self.activation != Network.activation, "model.activation"),
            ("output_bias", self.output_bias != Network.output_bias, "model.output_bias"),
        ):
            if is_set and name not in self.asked:
                raise OutsideCodeError(
                    f"{mark(f'model.network={self.network}')} has no parameter {name} for its "
                    f"constructor: leave {mark(key)} out"
                )

    def build(self, spec: "Spec", parts: Parts) -> "LatentModel":
        """The module, or a VAE of its encoder and decoder."""
        from vae_cli.model import VAE, LatentModel

        shape, width = input_shape(spec, parts.codec), parts.width
        head = self.build_head(spec, parts.posterior)
        latents = Latents(shape=shape, head=head, encode=refuse_to_encode, condition=width)
        made = self.make(
            shape=lambda: shape,
            output_shape=lambda: parts.likelihood.output_shape(shape),
            latent_dim=lambda: self.latent_dim,
            head=lambda: head,
            activation=lambda: activation_of(self.activation),
            output_bias=lambda: self.output_bias,
            condition=lambda: width,
            likelihood=lambda: parts.likelihood,
            codec=lambda: parts.codec,
            prior=lambda: parts.prior.build(latents),
        )
        if isinstance(made, LatentModel):
            made.codec, made.condition = parts.codec, parts.condition
            return made
        if parts.posterior.kind == "codes" and not hasattr(made.encoder, "head"):
            raise OutsideCodeError(
                f"{mark(f'posterior.name={parts.posterior.name}')} needs the codebook: let the "
                f"encoder of {self.network} keep its head as self.head"
            )
        prior = parts.prior.build(replace(latents, encode=made.encoder.forward))
        likelihood, codec = parts.likelihood, parts.codec
        return VAE(made.encoder, made.decoder, likelihood, prior, codec, condition=parts.condition)


def refuse_to_encode(*_: Any) -> Any:
    """In place of the encoder of a whole model, which is not there yet when its prior is made.

    Raises:
        OutsideCodeError: always.
    """
    raise OutsideCodeError(f"{mark('prior.name')} needs the encoder, which a whole model hides")


@final
@dataclass(frozen=True)
class Kind:
    """What a section takes from outside.

    Attributes:
        key: the setting that chooses.
        group: of entry points.
        settings: the class that settings derive from.
        adapter: makes settings from a module; None if they must be written.
        module: the name in `vae_cli.model` of the class that modules derive from.
        offered: the parameters of a constructor that are given to it.
    """

    key: str
    group: str
    settings: type
    adapter: type[FromModule] | None = None
    module: str = ""
    offered: frozenset[str] = frozenset()


WHOLE = frozenset({"likelihood", "prior"})  # which a whole model takes
KINDS: Mapping[str, Kind] = {
    "model": Kind(
        *("network", "vae_cli.networks", Network, ModuleNetwork, "LatentModel"),
        WHOLE
        | {"shape", "output_shape", "latent_dim", "head", "activation", "output_bias"}
        | {"condition", "codec"},
    ),
    "objective": Kind(
        *("name", "vae_cli.objectives", Objective, ModuleObjective, "Objective"),
        frozenset({"model"}),
    ),
    "likelihood": Kind(
        *("name", "vae_cli.likelihoods", Likelihood, ModuleLikelihood, "Likelihood"),
        frozenset({"codec"}),
    ),
    "posterior": Kind("name", "vae_cli.posteriors", Posterior),
    "prior": Kind(
        *("name", "vae_cli.priors", Prior, ModulePrior, "Prior"),
        frozenset({"shape", "latent_dim", "event_shape", "encode", "condition"}),
    ),
}
