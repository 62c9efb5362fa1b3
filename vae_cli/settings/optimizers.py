"""The optimizers, and the learning rate as a function of the step."""

from abc import ABC, abstractmethod
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Literal, assert_never, final

from annotated_types import Interval

from vae_cli.settings.variant import Setting, section, variant

if TYPE_CHECKING:
    from torch import nn

    from vae_cli.training import Schedule, optimizers
    from vae_cli.training.optimizers import Transform


@section
class Optimizer(ABC):
    """Settings of an optimizer."""

    name: Annotated[
        str,
        Setting("Method; normgrad is Adam on gradients that are scaled to norm 1 per tensor."),
    ] = field(init=False)
    learning_rate: Annotated[
        float,
        Interval(gt=0, le=1),
        Setting("Peak step size.", "learning-rate", alias="lr"),
    ] = 5e-3
    schedule: Annotated[
        Literal["constant", "cosine"],
        Setting(
            "Schedule of the learning rate: constant, or a cosine that falls to 0.", "schedule"
        ),
    ] = "cosine"
    warmup: Annotated[
        Annotated[float, Interval(ge=0, le=1)] | Literal["auto"],
        Setting(
            "Share of all steps during which the learning rate rises from 0; auto is 0.05, and for "
            "convolutional networks at least 25 steps, but at most half of all."
        ),
    ] = "auto"
    ema: Annotated[
        float,
        Interval(ge=0, le=0.99999),
        Setting("Decay of a moving average of the weights, which is then evaluated; 0 is off."),
    ] = 0.0

    @abstractmethod
    def build(self, network: "nn.Module") -> "optimizers.Optimizer":
        """The optimizer of the parameters of a network."""

    def build_schedule(self, total_steps: int, min_warmup: int) -> "Schedule":
        """The learning rate as a function of the step.

        Args:
            total_steps: of the training.
            min_warmup: the steps that `auto` takes at least to warm up.
        """
        from vae_cli.training import constant, cosine, warmup_share

        share = self.warmup
        if share == "auto":
            share = warmup_share(total_steps, min_warmup)
        match self.schedule:
            case "constant":
                return constant(self.learning_rate, total_steps, share)
            case "cosine":
                return cosine(self.learning_rate, total_steps, share)
            case _:
                assert_never(self.schedule)


@section
class ClipFields:
    """What the optimizers share that take the gradients as they are."""

    clip_norm: Annotated[
        float,
        Interval(ge=0, le=1e9),
        Setting("Largest L2 norm of all gradients together; 0 is no limit."),
    ] = 0.0

    def build_clip(self) -> "Transform":
        """What is done to the gradients before a step."""
        from functools import partial

        from vae_cli.training import clip_norm, unchanged

        return partial(clip_norm, max_norm=self.clip_norm) if self.clip_norm else unchanged


@final
@variant("adam")
class Adam(ClipFields, Optimizer):
    """Adam (Kingma & Ba, 2015)."""

    def build(self, network: "nn.Module") -> "optimizers.Optimizer":
        """With moments of 0."""
        from vae_cli.training import optimizers

        return optimizers.Adam(dict(network.named_parameters()), transform=self.build_clip())


@final
@variant("adamw")
class AdamW(ClipFields, Optimizer):
    """Adam with decay of the weights (Loshchilov & Hutter, 2019)."""

    weight_decay: Annotated[float, Interval(ge=0, le=1), Setting("Decay of the weights.")] = 0.01

    def build(self, network: "nn.Module") -> "optimizers.Optimizer":
        """With moments of 0."""
        from vae_cli.training import optimizers

        return optimizers.Adam(
            dict(network.named_parameters()), self.weight_decay, self.build_clip()
        )


@final
@variant("adamax")
class AdaMax(ClipFields, Optimizer):
    """Adam with the largest gradients instead of their squares (Kingma & Ba, 2015)."""

    def build(self, network: "nn.Module") -> "optimizers.Optimizer":
        """With moments of 0."""
        from vae_cli.training import optimizers

        return optimizers.AdaMax(dict(network.named_parameters()), self.build_clip())


@final
@variant("normgrad")
class NormGrad(Optimizer):
    """Adam on gradients that are scaled to norm 1 per tensor (Norouzi et al., 2020)."""

    def build(self, network: "nn.Module") -> "optimizers.Optimizer":
        """With moments of 0."""
        from vae_cli.training import optimizers

        return optimizers.Adam(
            dict(network.named_parameters()), transform=optimizers.normalize_each
        )


OptimizerConfig = Adam | AdamW | AdaMax | NormGrad
