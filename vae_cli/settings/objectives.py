"""The objectives: what is minimized; docs/objectives.md has the equations."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, final, get_args

from annotated_types import Interval, Len

from vae_cli.errors import UsageError, join_or, mark
from vae_cli.settings.networks import Network
from vae_cli.settings.posteriors import LatentKind, Posterior
from vae_cli.settings.priors import Normal, Prior, Uniform
from vae_cli.settings.variant import Setting, section, variant

if TYPE_CHECKING:
    from vae_cli.data.columns import Column
    from vae_cli.data.dataset import Spec
    from vae_cli.model import LatentModel, objectives
    from vae_cli.training import Schedule

TABLE_BETA = (
    0.5  # tests/benchmarks/tables.py: with 1, a fifth of the latents is used, and rows blur
)


@section
class Objective(ABC):
    """Settings of an objective."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "levels")  # what it is defined for
    hides_condition: ClassVar[bool] = True  # whether a condition is hidden at random

    name: Annotated[str, Setting("What is minimized; elbo is distortion plus KL.", "objective")] = (
        field(init=False)
    )
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

    def classes(self, spec: "Spec") -> int:  # noqa: ARG002  most need no classifier
        """The number of classes that the model's classifier tells apart; 0 if it has none."""
        return 0

    @property
    def epochs_of_warmup(self) -> int:
        """After how many epochs the warm-up has ended, with all its cycles."""
        return (2 * self.warmup_cycles - 1) * self.warmup_epochs

    @property
    def comparison(self) -> str | None:
        """What compares the items of a batch with each other, for a message; None if nothing does.

        The loss of an item is then another one in another batch.
        """
        return None

    def fill_in(self, spec: "Spec") -> Self:  # noqa: ARG002  some depend on the items
        """The same settings without `auto` for such items."""
        return self

    def check(self, network: Network, posterior: Posterior, prior: Prior) -> None:  # noqa: ARG002
        """Check that the objective is defined for a network, a posterior and a prior.

        Raises:
            UsageError: it is not.
        """
        asked: dict[LatentKind, str] = {
            posterior.kind: f"is not defined for {mark(f'posterior.name={posterior.name}')}, which"
        }
        if network.has_levels:
            levels = mark(f"model.network={network.network}")
            asked["levels"] = f"is for one level of latents: {levels}"
        if network.is_grid:
            asked["grid"] = f"is for latents that are vectors: {mark('model.grid=true')}"
        for kind, text in asked.items():
            if kind not in self.takes:
                others = [one.name for one in get_args(ObjectiveConfig) if kind in one.takes]
                own = mark(f"objective.name={self.name}")
                raise UsageError(f"{own} {text} takes {join_or(others)}")
        if self.warmup_cycles > 1 and not self.warmup_epochs:
            raise UsageError(
                f"{mark('objective.warmup_cycles')} needs {mark('objective.warmup_epochs')}"
            )

    def check_condition(self, condition: "Sequence[Column]") -> None:  # noqa: B027  most take any
        """Check that the objective is defined for what the model is conditioned on.

        Raises:
            UsageError: it is not.
        """

    @abstractmethod
    def build(self, model: "LatentModel") -> "objectives.Objective":
        """What is minimized, with new networks of its own from torch's global random numbers.

        Args:
            model: to be trained, which says what such a network takes.
        """

    def build_warmup(self, steps_per_epoch: int) -> "Schedule":
        """The warm-up as a function of the step."""
        from vae_cli.training import linear_warmup, no_warmup

        if self.warmup_epochs == 0:
            return no_warmup
        return linear_warmup(self.warmup_epochs * steps_per_epoch, self.warmup_cycles)


@final
@variant("elbo")
class ELBO(Objective):
    """Distortion plus β times the KL divergence (Kingma & Welling, 2014; Higgins et al., 2017)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density", "codes", "levels", "grid")

    beta: Annotated[
        Annotated[float, Interval(ge=0, le=1_000_000)] | Literal["auto"],
        Setting(
            "Weight of the KL divergence in the loss; auto is 1, and 0.5 for tables whose samples "
            "come from a flow.",
            "beta",
        ),
    ] = "auto"
    free_bits: Annotated[
        float,
        Interval(ge=0, le=1e6),
        Setting("KL in nats below which a dimension or level costs nothing more; 0 is off."),
    ] = 0.0
    free_bits_by: Annotated[
        Literal["dimension", "level"], Setting("What free bits are counted for.")
    ] = "dimension"

    @property
    def comparison(self) -> str | None:
        """Free bits are counted for the mean over the batch."""
        return mark(f"objective.free_bits={self.free_bits}") if self.free_bits else None

    def fill_in(self, spec: "Spec") -> Self:
        """With a number as the weight.

        Less weight than 1 spends more nats on what tells one row from another. The latents are then
        further from the prior, which costs a table nothing, because a flow is fitted to them.
        """
        if self.beta != "auto":
            return self
        has_prior = spec.is_image or bool(spec.condition)  # as the source of samples
        return dataclasses.replace(self, beta=1.0 if has_prior else TABLE_BETA)

    def check(self, network: Network, posterior: Posterior, prior: Prior) -> None:
        """Check that there is a KL for what the free bits are counted for.

        Raises:
            UsageError: there is none.
        """
        super().check(network, posterior, prior)
        if not self.free_bits or self.free_bits_by == "level":
            return
        if not isinstance(prior, Normal) or posterior.kind != "normal":
            other = f"prior.name={prior.name}"
            if posterior.kind != "normal":
                other = f"posterior.name={posterior.name}"
            raise UsageError(
                f"{mark(other)} has no KL by dimension: "
                f"free bits need {mark('objective.free_bits_by=level')}"
            )

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """Its negative."""
        from vae_cli.model import objectives

        assert self.beta != "auto"  # `fill_in` has replaced it
        by_level = self.free_bits_by == "level"
        return objectives.NegativeELBO(self.beta, self.free_bits, by_level=by_level)


@final
@variant("capacity")
class Capacity(Objective):
    """A KL divergence that is held at a capacity (Burgess et al., 2018)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density", "levels", "grid")

    capacity: Annotated[float, Interval(ge=0, le=1e6), Setting("KL in nats that is held.")] = 25.0
    gamma: Annotated[
        float,
        Interval(ge=0, le=1e6),
        Setting("Weight of the distance between KL and capacity."),
    ] = 10.0

    @property
    def comparison(self) -> str | None:
        """The mean KL of the batch is held."""
        return mark(f"objective.name={self.name}")

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """The distortion and the distance."""
        from vae_cli.model import objectives

        return objectives.Capacity(self.capacity, self.gamma)


@section
class SampleFields:
    """What the objectives with importance samples share."""

    samples: Annotated[
        int, Interval(ge=1, le=10_000), Setting("Importance samples K per item.")
    ] = 5


@section
class GroupFields(SampleFields):
    """What the objectives with several groups of importance samples share."""

    groups: Annotated[
        int, Interval(ge=1, le=1000), Setting("Groups of K samples whose bounds are averaged.")
    ] = 4


@final
@variant("iwae")
class IWAE(SampleFields, Objective):
    """The importance-weighted bound (Burda et al., 2016)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density", "levels", "grid")

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """Its negative."""
        from vae_cli.model import objectives

        return objectives.NegativeIWAE(self.samples)


@final
@variant("dreg")
class DReG(SampleFields, Objective):
    """The same bound with doubly reparameterized gradients (Tucker et al., 2019)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal",)

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """Its negative."""
        from vae_cli.model import objectives

        return objectives.NegativeDReG(self.samples)


@final
@variant("miwae")
class MIWAE(GroupFields, Objective):
    """The mean of several importance-weighted bounds (Rainforth et al., 2018)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density", "levels", "grid")

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """Its negative."""
        from vae_cli.model import objectives

        return objectives.NegativeIWAE(self.samples, self.groups)


@final
@variant("ciwae")
class CIWAE(SampleFields, Objective):
    """A mean of the ELBO and the importance-weighted bound (Rainforth et al., 2018)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density", "levels", "grid")

    elbo_share: Annotated[
        float, Interval(ge=0, le=1), Setting("Weight of the ELBO; the bound of iwae has the rest.")
    ] = 0.5

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """Its negative."""
        from vae_cli.model import objectives

        return objectives.NegativeCIWAE(self.samples, self.elbo_share)


@final
@variant("piwae")
class PIWAE(GroupFields, Objective):
    """The decoder learns by iwae, and the encoder by miwae (Rainforth et al., 2018)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density")

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """One loss with both gradients."""
        from vae_cli.model import objectives

        return objectives.NegativePIWAE(self.samples, self.groups)


@final
@variant("tc")
class TotalCorrelation(Objective):
    """The total correlation of the latents has a weight of its own (Chen et al., 2018)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal",)

    beta: Annotated[
        Annotated[float, Interval(ge=0, le=1_000_000)] | Literal["auto"],
        Setting("Weight of the total correlation; auto is 1.", "beta"),
    ] = "auto"

    @property
    def comparison(self) -> str | None:
        """The aggregated posterior is that of the batch."""
        return mark(f"objective.name={self.name}")

    def fill_in(self, spec: "Spec") -> Self:  # noqa: ARG002
        """With a number as the weight."""
        return self if self.beta != "auto" else dataclasses.replace(self, beta=1.0)

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """The distortion and the three parts of the KL."""
        from vae_cli.model import objectives

        assert self.beta != "auto"  # `fill_in` has replaced it
        return objectives.TotalCorrelation(self.beta)


@final
@variant("mmd")
class MMD(Objective):
    """InfoVAE, with the maximum mean discrepancy (Zhao et al., 2019)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density")

    alpha: Annotated[float, Interval(ge=-1e6, le=1), Setting("One minus the weight of the KL.")] = (
        1.0
    )
    mmd_weight: Annotated[
        float,
        Interval(ge=0, le=1e9),
        Setting("The weight lambda of InfoVAE: the discrepancy is weighted by alpha + lambda - 1."),
    ] = 1000.0

    @property
    def comparison(self) -> str | None:
        """The discrepancy is that of the batch."""
        return mark(f"objective.name={self.name}")

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """The distortion, the KL and the discrepancy."""
        from vae_cli.model import objectives

        return objectives.InfoVAE(self.alpha, self.mmd_weight)


@final
@variant("dip")
class DIP(Objective):
    """The covariance of the latents is held at the identity (Kumar et al., 2018)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal",)

    covariance: Annotated[
        Literal["means", "samples"],
        Setting(
            "What has this covariance: the means of the posteriors (DIP-VAE-I), or their samples "
            "(DIP-VAE-II)."
        ),
    ] = "samples"
    lambda_od: Annotated[
        float, Interval(ge=0, le=1e9), Setting("Weight of the covariances off the diagonal.")
    ] = 10.0
    lambda_d: Annotated[
        Annotated[float, Interval(ge=0, le=1e9)] | Literal["auto"],
        Setting(
            "Weight of the variances' distance from 1; auto is that off the diagonal, and ten "
            "times as much for means."
        ),
    ] = "auto"

    @property
    def comparison(self) -> str | None:
        """The covariance is that of the batch."""
        return mark(f"objective.name={self.name}")

    def fill_in(self, spec: "Spec") -> Self:  # noqa: ARG002
        """With a number as the weight of the variances: those of Kumar et al. (2018), sec. 4."""
        if self.lambda_d != "auto":
            return self
        ratio = 10 if self.covariance == "means" else 1
        return dataclasses.replace(self, lambda_d=ratio * self.lambda_od)

    def build(self, model: "LatentModel") -> "objectives.Objective":  # noqa: ARG002
        """The distortion, the KL and the distance."""
        from vae_cli.model import objectives

        assert self.lambda_d != "auto"  # `fill_in` has replaced it
        return objectives.DIPVAE(
            of_samples=self.covariance == "samples",
            off_diagonal=self.lambda_od,
            diagonal=self.lambda_d,
        )


@section
class CriticFields:
    """What the objectives share whose critic compares latents."""

    critic_rate: ClassVar[float]  # that `auto` is

    critic_hidden: Annotated[
        tuple[Annotated[int, Interval(ge=1, le=65536)], ...],
        Len(1, 16),
        Setting("Width of a hidden layer of the critic; [400, 200] makes two layers."),
    ] = (256, 256)
    critic_learning_rate: Annotated[
        Annotated[float, Interval(gt=0, le=1)] | Literal["auto"],
        Setting(
            "Step size of the critic, in all steps; auto is 0.001 for factor, and 0.01 for "
            "adversarial."
        ),
    ] = "auto"

    def fill_in(self, spec: "Spec") -> Self:  # noqa: ARG002
        """With a number as the learning rate.

        In 10,000 steps a critic lags behind the latents with the 1e-4 of Kim & Mnih (2018), who
        have 300,000; docs/objectives.md says what was measured.
        """
        if self.critic_learning_rate != "auto":
            return self
        return dataclasses.replace(self, critic_learning_rate=self.critic_rate)

    def build_critic(self, model: "LatentModel") -> "objectives.Critic":
        """A critic of the latents of a model."""
        from vae_cli.model import objectives

        return objectives.Critic(model.latent_dim, self.critic_hidden)


@final
@variant("factor")
class Factor(CriticFields, Objective):
    """A critic estimates the total correlation of the latents (Kim & Mnih, 2018)."""

    critic_rate: ClassVar[float] = 1e-3
    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density")

    gamma: Annotated[
        float, Interval(ge=0, le=1e6), Setting("Weight of the total correlation besides the KL's.")
    ] = 10.0

    @property
    def comparison(self) -> str | None:
        """The latents of the batch are shuffled."""
        return mark(f"objective.name={self.name}")

    def build(self, model: "LatentModel") -> "objectives.Objective":
        """With a new critic."""
        from vae_cli.model import objectives

        assert self.critic_learning_rate != "auto"  # `fill_in` has replaced it
        return objectives.FactorVAE(self.build_critic(model), self.gamma, self.critic_learning_rate)


@final
@variant("adversarial")
class Adversarial(CriticFields, Objective):
    """A critic tells latents from samples of the prior (Makhzani et al., 2016)."""

    critic_rate: ClassVar[float] = 1e-2
    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density")

    critic_weight: Annotated[
        float, Interval(ge=0, le=1e9), Setting("Weight of what the critic finds.")
    ] = 10.0
    kl_weight: Annotated[
        float, Interval(ge=0, le=1e6), Setting("Weight of the KL divergence of each item.")
    ] = 0.0

    def check(self, network: Network, posterior: Posterior, prior: Prior) -> None:
        """Check that something moves a prior that is learned.

        Raises:
            UsageError: nothing does.
        """
        super().check(network, posterior, prior)
        if not self.kl_weight and not isinstance(prior, Normal | Uniform):
            raise UsageError(
                f"{mark(f'prior.name={prior.name}')} is learned by the KL, which has no weight "
                f"here: set {mark('objective.kl_weight')} above 0"
            )

    def build(self, model: "LatentModel") -> "objectives.Objective":
        """With a new critic."""
        from vae_cli.model import objectives

        assert self.critic_learning_rate != "auto"  # `fill_in` has replaced it
        return objectives.Adversarial(
            self.build_critic(model),
            self.critic_weight,
            self.kl_weight,
            self.critic_learning_rate,
        )


@final
@variant("m2")
class M2(Objective):
    """A semi-supervised model with a classifier (Kingma et al., 2014)."""

    takes: ClassVar[tuple[LatentKind, ...]] = ("normal", "density")
    hides_condition: ClassVar[bool] = False  # it sums over the classes that an item may have

    classifier_weight: Annotated[
        float,
        Interval(ge=0, le=1e6),
        Setting("Weight alpha of the classifier's cross-entropy for an item with a label."),
    ] = 1000.0

    def classes(self, spec: "Spec") -> int:
        """Those of the condition."""
        return sum(len(column.categories) for column in spec.condition)

    def check_condition(self, condition: "Sequence[Column]") -> None:
        """Check that the condition is a class.

        Raises:
            UsageError: it is not.
        """
        if [column.kind for column in condition] != ["category"]:
            names = ", ".join(column.name for column in condition)
            raise UsageError(
                f"{mark(f'objective.name={self.name}')} needs one condition with categories, such "
                f"as {mark('data.condition=label')}{f', not {names}' * bool(names)}"
            )

    def build(self, model: "LatentModel") -> "objectives.Objective":
        """The loss of the model and of its classifier."""
        from vae_cli.model import objectives

        assert model.classifier is not None  # the model was built for this objective
        assert model.condition is not None
        (classes,) = model.condition.codec.layout.sizes
        return objectives.NegativeM2(model.classifier.__call__, classes, self.classifier_weight)


ObjectiveConfig = (
    ELBO
    | Capacity
    | IWAE
    | DReG
    | MIWAE
    | CIWAE
    | PIWAE
    | TotalCorrelation
    | MMD
    | DIP
    | Factor
    | Adversarial
    | M2
)
