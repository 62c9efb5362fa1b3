"""What an encoder says about the latents of an item, and how far that is from a prior.

A posterior q(z|x) is what an encoder returns; a `LatentPrior` p(z) is what a prior returns for one
pass. The functions `kl` and `kl_by_dim` compare the two, so that neither has to know the other:

    KL(q ‖ p) = E_q [log q(z|x) − log p(z)]

in closed form where there is one, else by the Monte Carlo estimate with the samples of the pass.
"""

import copy
import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, TypeVar, cast, final

import torch
from torch import Tensor, nn

from vae_cli.errors import UsageError
from vae_cli.model.reductions import Whole, average_samples, sum_last, undivided
from vae_cli.noise import Noise

T = TypeVar("T")


class LatentSampler(Protocol):
    """Something that latents are drawn from: a prior, or what was fitted to latents later."""

    def sample(
        self, count: int, noise: Noise, temperature: float = 1.0, y: Tensor | None = None
    ) -> Tensor:
        """`count` independent samples, `(count, *event)`.

        Args:
            count: their number.
            noise: the source of the random numbers, on the device of the sampler.
            temperature: factor for the standard deviation of the normal noise that the samples are
                made of; below 1 they are closer to the centre, or to those of the components.
            y: the condition of each as the networks take it, `(count, W)`; None if there is none.
                A source whose latents do not depend on it ignores it.
        """


class LatentPrior(Protocol):
    """A distribution p(z), or p(z|y), over the latents of an item, for one pass through a model."""

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:
        """`count` independent samples, `(count, *event)`; as those of a `LatentSampler`.

        A distribution with parameters of its own for each of B items has one sample for each of
        them: `count` is B.
        """

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., *event)`, in nats: `(...)`."""


class Drawn(NamedTuple):
    """Samples of a posterior.

    Attributes:
        z: `(K, B, *event)`.
        log_prob: log q(z|x) in nats, `(K, B)`, if it came with them; None if `Posterior.log_prob`
            is to be asked, which nobody does who needs a KL with a closed form alone.
    """

    z: Tensor
    log_prob: Tensor | None = None


class Posterior(ABC):
    """The distribution q(z|x) of the latents of each of B items.

    An event is the latents of one item in any shape: a vector `(D,)`, an image `(C, H, W)`, or a
    sequence `(T,)`. A posterior that is given K samples of the levels above it is a different one
    for each of them; its parameters then have the axes `(K, B, *event)` instead of `(B, *event)`.

    A deterministic encoder is a posterior too. A quantizer (van den Oord, Vinyals & Kavukcuoglu,
    2017, https://arxiv.org/abs/1711.00937) has one possible event for each item, so `log_prob` of
    it is 0; `rsample` copies the gradient past the quantization, and `penalty` holds the terms of
    the codebook and of the commitment.

    A posterior is a dataclass, whose fields are tensors with an axis of the items, the modules that
    it computes with, and numbers.
    """

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """The shape of the latents of one item."""

    @abstractmethod
    def rsample(self, samples: int, noise: Noise) -> Tensor:
        """K samples that gradients flow through: `(K, B, *event)`."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The most probable latents, which stand for the item where nothing is sampled.

        Returns:
            `(B, *event)`, or `(K, B, *event)` given K samples of the levels above.
        """

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(K, B, *event)`, in nats: `(K, B)`; 0 if nothing is random."""

    @abstractmethod
    def features(self) -> dict[str, Tensor]:
        """What is worth to be stored about an item, by name: `(B, ...)` each."""

    def penalty(self) -> Tensor | None:
        """What an objective adds besides the KL, in nats: `(B,)`; None is nothing."""
        return None

    def statistics(self, noise: Noise) -> dict[str, Tensor]:  # noqa: ARG002
        """What a head learns from in a training step without a gradient, such as a codebook.

        These are sums over the items, so that those of the parts of a batch can be added.

        Args:
            noise: the source of random numbers, which knows the place of the items in the batch.
        """
        return {}

    def draw(self, samples: int, noise: Noise | None) -> Drawn:
        """K samples, or K times the mode if there is no noise.

        A flow knows the density of what it has made of noise, and could find that of other latents
        only by an inversion. It returns it here.
        """
        if noise is not None:
            return Drawn(self.rsample(samples, noise))
        return Drawn(repeat_samples(self.mode(), samples, len(self.event_shape)))

    def closed_form_kl(self, prior: LatentPrior) -> Tensor | None:  # noqa: ARG002
        """KL(q ‖ p) in nats, divided as far as it can be: `(B, G)`; None if it has to be estimated.

        Its parts are D dimensions, or a single one if the dimensions cannot be told apart.
        """
        return None

    def marginals(self) -> "DiagonalNormal | None":
        """The distribution of each dimension by itself if it is normal; None if it is not."""
        return None

    def apply(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same distribution of changed tensors: those of some items, or without gradients."""
        changed = {name: change(one) for name, one in self._fields(Tensor)}
        return cast("Self", dataclasses.replace(cast("Any", self), **changed))

    @property
    def has_density(self) -> bool:
        """Whether `log_prob` of any latents takes one pass, so that thousands can be computed."""
        return True

    def __len__(self) -> int:
        """The number of items, if no levels are above."""
        return len(self._fields(Tensor)[0][1])

    def __getitem__(self, items: int | slice | Tensor) -> Self:
        """The distribution of some items only."""
        return self.apply(lambda tensor: tensor[items])

    def to(self, device: torch.device) -> Self:
        """The same distribution on a device, with a copy of what it computes with, to be used.

        The copy learns nothing, so that samples need no gradients.
        """
        copies = {
            name: copy.deepcopy(one).to(device).requires_grad_(requires_grad=False)
            for name, one in self._fields(nn.Module)
        }
        moved = self.apply(lambda tensor: tensor.to(device))
        return cast("Self", dataclasses.replace(cast("Any", moved), **copies))

    def _fields(self, kind: type[T]) -> list[tuple[str, T]]:
        values = [
            (one.name, getattr(self, one.name)) for one in dataclasses.fields(cast("Any", self))
        ]
        return [(name, value) for name, value in values if isinstance(value, kind)]


@final
@dataclass(frozen=True)
class DiagonalNormal(Posterior):
    """Independent normal variables (Kingma & Welling, 2014, https://arxiv.org/abs/1312.6114).

        N(z; μ, diag σ²)  with  σ² = exp(log_variance)
        KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²)     for each dimension

    Attributes:
        mean: `(..., *event)`.
        log_variance: `(..., *event)`, the logarithm of the variance, not of the deviation.
        event_ndim: how many axes at the end are those of an event.

    Example:
        >>> import torch
        >>> from vae_cli.noise import Noise
        >>> q = DiagonalNormal(torch.zeros(4, 2), torch.zeros(4, 2))
        >>> q.rsample(3, Noise(0)).shape, q.kl_to_standard().sum().item()
        (torch.Size([3, 4, 2]), 0.0)
    """

    mean: Tensor
    log_variance: Tensor
    event_ndim: int = 1

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of the latents of one item."""
        return tuple(self.mean.shape[self.mean.ndim - self.event_ndim :])

    @property
    def scale(self) -> Tensor:
        """The standard deviation, `(..., *event)`."""
        return (0.5 * self.log_variance).exp()

    def rsample(self, samples: int, noise: Noise) -> Tensor:
        """K samples μ + σ ε (Kingma & Welling, 2014, sec. 2.4): `(K, B, *event)`."""
        mean, log_variance = (
            repeat_samples(values, samples, self.event_ndim)
            for values in (self.mean, self.log_variance)
        )
        epsilon = noise.normal(mean.shape, batch_axis=1, dtype=mean.dtype)
        return torch.addcmul(mean, (0.5 * log_variance).exp(), epsilon)

    def mode(self) -> Tensor:
        """The mean."""
        return self.mean

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:
        """A sample of each of `count` items with another standard deviation: `(count, *event)`.

        This makes the distribution a prior too, given the levels above, or a condition.

        Raises:
            ValueError: it is one of another number of items.
        """
        if len(self.mean) != count:
            raise ValueError(f"{count} samples of a distribution for {len(self.mean)} items")
        return self.mean.lerp(self.rsample(1, noise)[0], temperature)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., *event)`, in nats, summed over dimensions: `(...)`."""
        return sum_last(self.log_prob_by_dim(z), self.event_ndim)

    def log_prob_by_dim(self, z: Tensor) -> Tensor:
        """The log-density of each dimension of `z`, in nats: `(..., *event)`."""
        error = (z - self.mean) ** 2 * (-self.log_variance).exp()
        return -0.5 * (error + self.log_variance + math.log(2 * math.pi))

    def kl_to_standard(self) -> Tensor:
        """KL to N(0, 1) of each dimension, in nats (Kingma & Welling, 2014, appendix B)."""
        return 0.5 * (self.mean**2 + self.log_variance.exp() - 1 - self.log_variance)

    def kl_from(self, other: "DiagonalNormal") -> Tensor:
        """KL(other ‖ this) of each dimension, in nats: `(..., *event)`."""
        ratio = other.log_variance - self.log_variance
        distance = (other.mean - self.mean) ** 2 * (-self.log_variance).exp()
        return 0.5 * (distance + ratio.exp() - 1 - ratio)

    def features(self) -> dict[str, Tensor]:
        """Both parameters."""
        return {"mean": self.mean, "log_variance": self.log_variance}

    def closed_form_kl(self, prior: LatentPrior) -> Tensor | None:
        """The KL of each dimension to a normal prior, averaged over K samples of levels above."""
        if isinstance(prior, UnitNormal):
            by_dim = self.kl_to_standard()
        elif isinstance(prior, DiagonalNormal):
            by_dim = prior.kl_from(self)
        else:
            return None
        is_conditional = by_dim.ndim > 1 + self.event_ndim
        return (average_samples(by_dim) if is_conditional else by_dim).flatten(1)

    def marginals(self) -> "DiagonalNormal":
        """The dimensions are independent."""
        return self


@final
@dataclass(frozen=True)
class UnitNormal:
    """N(0, I), the prior of Kingma & Welling (2014).

    Attributes:
        zeros: the mean, `(*event)`; it says the shape, the type and the device.
    """

    zeros: Tensor

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:
        """`count` independent samples, `(count, *event)`."""
        shape = (count, *self.zeros.shape)
        return temperature * noise.normal(shape, dtype=self.zeros.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., *event)`, in nats: `(...)`."""
        return sum_last(-0.5 * (z**2 + math.log(2 * math.pi)), self.zeros.ndim)


PosteriorT = TypeVar("PosteriorT", bound=Posterior)


def join(parts: Sequence[PosteriorT]) -> PosteriorT:
    """The distribution of all items of several ones, with the modules of the first of them."""
    first = parts[0]
    tensors = [dict(part._fields(Tensor)) for part in parts]
    joined = {name: torch.cat([one[name] for one in tensors]) for name in tensors[0]}
    return cast("PosteriorT", dataclasses.replace(cast("Any", first), **joined))


def kl(q: Posterior, p: LatentPrior, z: Tensor, log_q: Tensor | None = None) -> Tensor:
    """KL(q ‖ p) in nats: `(B,)`.

    Args:
        q: the posteriors of B items.
        p: the prior of their latents.
        z: samples of the posteriors, `(K, B, *event)`, for a KL without a closed form.
        log_q: log q(z|x) of these samples, `(K, B)`, if it is known already.

    Example:
        >>> import torch
        >>> from vae_cli.noise import Noise
        >>> q = DiagonalNormal(torch.ones(4, 2), torch.zeros(4, 2))
        >>> kl(q, UnitNormal(torch.zeros(2)), q.rsample(1, Noise(0))).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    return kl_by_group(q, p, z, log_q).sum(-1)


def kl_by_group(q: Posterior, p: LatentPrior, z: Tensor, log_q: Tensor | None = None) -> Tensor:
    """KL(q ‖ p) in nats, divided as far as it can be, for objectives that limit its parts.

    Args:
        q: the posteriors of B items.
        p: the prior of their latents.
        z: samples of the posteriors, `(K, B, *event)`.
        log_q: log q(z|x) of these samples, `(K, B)`, if it is known already.

    Returns:
        `(B, D)`, one value for each dimension, if there is a closed form with these parts;
        otherwise `(B, 1)`: that of all of them together, or its Monte Carlo estimate.
    """
    parts = q.closed_form_kl(p)
    if parts is not None:
        return parts
    log_q = q.log_prob(z) if log_q is None else log_q
    return (log_q - p.log_prob(z)).mean(0)[:, None]


def kl_by_dim(q: Posterior, p: LatentPrior, whole: Whole = undivided) -> Tensor | None:
    """What each dimension tells about an item, in nats: `(B, D)`; None if that is not known.

    It is a diagnostic: the KL of the distribution of each dimension where it has a closed form.
    Otherwise, if that distribution is normal, it is the KL to the normal distribution with the
    moments of the batch's posteriors. The average of that over the batch is an upper bound of the
    mutual information between the items and this dimension.

    Args:
        q: the posteriors of B items.
        p: the prior of their latents.
        whole: makes of values of these items those of all items, if they are a part of a batch.
    """
    each = q.marginals()
    by_dim = None if each is None else each.closed_form_kl(p)
    if each is None or by_dim is not None:
        return by_dim
    mean, log_variance = whole(each.mean), whole(each.log_variance)
    variance = log_variance.exp().mean(0) + mean.var(0, correction=0)
    matched = DiagonalNormal(mean.mean(0), variance.log(), each.event_ndim)
    return matched.kl_from(each).flatten(1)


def repeat_samples(values: Tensor, samples: int, event_ndim: int) -> Tensor:
    """Values `(B, *event)` as `(K, B, *event)`; below another level they have that axis already.

    A new axis and its expansion are two steps, because autograd undoes both for nothing if K is 1.

    Raises:
        ValueError: they have that axis with another length.
    """
    if values.ndim <= 1 + event_ndim:
        return values[None].expand(samples, *values.shape)
    if len(values) != samples:
        raise ValueError(f"{samples} samples below {len(values)} samples of the level above")
    return values


def require_normal(posterior: Posterior) -> DiagonalNormal:
    """The posterior, if it is a normal distribution of vectors, which some uses need.

    Raises:
        UsageError: it is another one.
    """
    if not isinstance(posterior, DiagonalNormal) or posterior.event_ndim > 1:
        raise UsageError("this needs latents that are vectors with a normal posterior")
    return posterior
