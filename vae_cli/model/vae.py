"""The variational autoencoder (Kingma & Welling, 2014, https://arxiv.org/abs/1312.6114).

    p(x, z) = p(z) p(x|z)                     a prior, and a decoder with a likelihood
    q(z|x)                                    an encoder: what is known about z from an item
    log p(x) ≥ E_q [log p(x|z)] − KL(q(z|x) ‖ p(z))                the evidence lower bound

A model is a prior, a likelihood, and the networks between them. One pass through it is an
`Inference`, from which every objective computes its loss. `LatentModel` is the contract; `VAE` has
one level of latents, and `TwoLevelVAE` two of them in fully connected networks. `LadderVAE`, which
has several in convolutional ones, is in ladder.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.model.codec import Codec, ImageCodec
from vae_cli.model.condition import Condition
from vae_cli.model.heads import Head
from vae_cli.model.inference import Inference, Level
from vae_cli.model.likelihoods import Distribution, Likelihood
from vae_cli.model.networks.dense import JointDecoder, JointEncoder, MLPEncoder
from vae_cli.model.posterior import DiagonalNormal, LatentPrior, Posterior
from vae_cli.model.priors import Prior
from vae_cli.noise import Noise


class LatentModel(nn.Module, ABC):
    """A model with latents that can be trained, and decoded from any point of its latent space.

    Latents may be vectors or images, and there may be several levels of them, of which the top one
    is furthest from the item. Random numbers come from the `Noise` that a caller passes; a pass
    without it takes the modes of the posteriors, so that it is repeatable.

    Attributes:
        likelihood: what the outputs of the decoder mean.
        prior: p(z) of the latents that `posterior` returns.
        codec: the way from the items of the data to what the model takes, and back.
        condition: what y means in a model of p(x|y); None if it is one of p(x), or y is what the
            networks take as it is.
        classifier: of a semi-supervised model, items `(B, ...)` to log q(y|x) of each class up to a
            constant, `(B, classes)`; None if there is none.
    """

    likelihood: Likelihood
    prior: Prior
    codec: Codec
    condition: Condition | None
    classifier: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.condition = self.classifier = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of the latents of one item, as `posterior` returns them."""
        return self.prior.event_shape

    @property
    def latent_dim(self) -> int:
        """The number of dimensions of the latents that `posterior` returns."""
        return self.prior.latent_dim

    @property
    def latent_dims(self) -> tuple[int, ...]:
        """The number of dimensions of every level, that of `posterior` first."""
        return (self.latent_dim,)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    def condition_of(self, y: Tensor | None, count: int) -> Tensor | None:
        """What the networks are told of the conditions of so many items.

        If a conditional model is given none, it is told that they are not known.
        """
        return y if self.condition is None else self.condition(y, count)

    def prior_of(self, y: Tensor | None, count: int) -> LatentPrior:
        """p(z|y) of so many items with these conditions; see `condition_of`."""
        distribution: LatentPrior = self.prior(self.condition_of(y, count))
        return distribution

    @abstractmethod
    def posterior(self, batch: Batch) -> Posterior:
        """q(z|x, y) of the top level for B items: parameters `(B, *event)`."""

    @abstractmethod
    def decode_levels(self, latents: Sequence[Tensor], y: Tensor | None = None) -> Distribution:
        """p(x|z, y) for the latents `(..., *event)` of the first levels, the top one first.

        The latents of the levels that are not given are the means of their priors.

        Args:
            latents: of each level.
            y: the condition of each item, as in `Batch`; the last axis before the events is that of
                the items.
        """

    def decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z, y) for latents `(..., *event)`, with mean `(..., C, H, W)` or `(..., D)`."""
        return self.decode_levels((z,), y)

    @abstractmethod
    def infer(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        """Encode B items, take K samples of the latents of each, and decode them.

        Args:
            batch: the items, encoded by the codec.
            samples: K.
            noise: the source of the samples; without it, every latent is the mode of its posterior.
        """

    def forward(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        """The same as `infer`."""
        return self.infer(batch, samples, noise)

    @abstractmethod
    def generate(
        self, z: Tensor, noise: Noise, temperature: float = 1.0, y: Tensor | None = None
    ) -> Distribution:
        """p(x|z, y) for latents `(..., *event)` of the top level, with the levels below sampled.

        Args:
            z: latents as `decode` takes them.
            noise: the source of the samples of the levels below.
            temperature: factor for their standard deviations.
            y: the condition as `decode` takes it.
        """

    def absorb(self, statistics: dict[str, Tensor], is_valid: Tensor) -> None:
        """Learn from the statistics of a whole batch, after the step of the optimizers, in place.

        Args:
            statistics: of the posteriors of the batch; see `Posterior.statistics`.
            is_valid: a bool scalar on the device; nothing changes if it is false, because the loss
                is not finite.

        Raises:
            NotImplementedError: this model learns by gradients alone.
        """
        raise NotImplementedError(f"{type(self).__name__} learns by gradients alone")


def call(network: nn.Module, inputs: Tensor, y: Tensor | None) -> Any:
    """What a network makes of items or latents `(N, ...)`, with their condition if there is one.

    A network that is given a condition and takes none raises a `TypeError`.
    """
    return network(inputs) if y is None else network(inputs, y)


def refuse_condition(y: Tensor | None) -> None:
    """Check that there is no condition, for a model whose networks take none.

    Raises:
        TypeError: there is one.
    """
    if y is not None:
        raise TypeError("a model with several levels of latents takes no condition")


@final
class VAE(LatentModel):
    """An encoder and a decoder that share a latent space.

    Example:
        >>> import torch
        >>> from vae_cli.data.batch import Batch
        >>> from vae_cli.model import MLPDecoder, MLPEncoder, SquaredError, StandardNormal, VAE
        >>> from vae_cli.noise import Noise
        >>> shape, hidden = (1, 28, 28), (400,)
        >>> encoder, decoder = MLPEncoder(shape, hidden, 20), MLPDecoder(shape, hidden, 20)
        >>> model = VAE(encoder, decoder, SquaredError(), StandardNormal(20))
        >>> inference = model.infer(Batch(torch.rand(8, *shape)), samples=5, noise=Noise(0))
        >>> inference.levels[0].z.shape, inference.likelihood.mean.shape
        (torch.Size([5, 8, 20]), torch.Size([5, 8, 1, 28, 28]))

    Args:
        encoder: items `(B, ...)` to a `Posterior` of their latents `(B, *event)`. In a model of
            p(x|y), it takes y as a second argument.
        decoder: latents `(B, *event)` to the raw outputs that the likelihood takes; the same.
        likelihood: what the raw outputs mean.
        prior: p(z).
        codec: the way from items to what the encoder takes; None is that of images.
        condition: what y means; None if there is none, or the networks take it as it is.
        classifier: q(y|x) of a semi-supervised model; None if there is none.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        codec: Codec | None = None,
        *,
        condition: Condition | None = None,
        classifier: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.codec = codec or ImageCodec()
        self.condition, self.classifier = condition, classifier
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior

    def posterior(self, batch: Batch) -> Posterior:
        """q(z|x, y) for B items: parameters `(B, *event)`."""
        return self._encode(self.classify(batch))

    def _encode(self, batch: Batch) -> Posterior:
        """The posterior of items whose class is given, or is not to be found."""
        posterior: Posterior = call(self.encoder, batch.x, self.condition_of(batch.y, len(batch)))
        return posterior

    def classify(self, batch: Batch) -> Batch:
        """The items with the most probable class where theirs is not known.

        A model without a classifier has learned from items whose class is not known, and is told
        that it is not. So has one with a classifier in a training, where nothing is changed.
        """
        if self.classifier is None or self.condition is None or self.training:
            return batch
        y = self.condition(batch.y, len(batch))
        found = F.one_hot(self.classifier(batch.x).argmax(-1), y.shape[1])
        return replace(batch, y=torch.where(y[:, -1:] > 0, found.to(y.dtype), y))

    def decode_levels(self, latents: Sequence[Tensor], y: Tensor | None = None) -> Distribution:
        """p(x|z, y) for the latents `(..., *event)` of the only level."""
        z = self.prior.restrict(latents[0])
        shape = z.shape[: z.ndim - len(self.event_shape)]
        y = self.condition_of(y, shape[-1])
        if y is not None:  # every sample of an item has its condition
            y = y.expand(*shape, *y.shape[1:]).flatten(0, len(shape) - 1)
        outputs = call(self.decoder, z.flatten(0, len(shape) - 1), y)
        distribution: Distribution = self.likelihood(outputs.unflatten(0, shape))
        return distribution

    def infer(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        """Encode B items, take K samples of the latents of each, and decode them."""
        batch = self.classify(batch)
        posterior = self._encode(batch)
        level = Level.draw(posterior, self.prior_of(batch.y, len(batch)), samples, noise)
        return Inference((level,), self.decode(level.z, batch.y))

    def generate(
        self,
        z: Tensor,
        noise: Noise,  # noqa: ARG002  there is nothing below to sample
        temperature: float = 1.0,  # noqa: ARG002
        y: Tensor | None = None,
    ) -> Distribution:
        """p(x|z, y) for latents `(..., *event)` of the only level."""
        return self.decode(z, y)

    def absorb(self, statistics: dict[str, Tensor], is_valid: Tensor) -> None:
        """Let the head of the encoder learn."""
        head = self.encoder.head
        assert isinstance(head, Head)
        head.absorb(statistics, is_valid)


@final
class TwoLevelVAE(LatentModel):
    """Two levels of latents in fully connected networks, each a vector of as many dimensions.

        p(x, z) = p(z_0) p(z_1 | z_0) p(x | z_0, z_1)      z_0 is the top level
        q(z|x)  = q(z_0 | x) q(z_1 | x, z_0)

    This is the HVAE of Tomczak & Welling (2018, https://arxiv.org/abs/1705.07120), with which
    Norouzi et al. (2020) compare too. Where a network has two inputs, each has layers of its own,
    and a joint layer follows.

    Args:
        encoder: q(z_0 | x).
        lower_encoder: q(z_1 | x, z_0).
        lower_prior: p(z_1 | z_0).
        decoder: p(x | z_0, z_1).
        likelihood: what the raw outputs of the decoder mean.
        prior: p(z_0).
        codec: the way from items to what the encoder takes; None is that of images.
    """

    def __init__(
        self,
        *,
        encoder: MLPEncoder,
        lower_encoder: JointEncoder,
        lower_prior: MLPEncoder,
        decoder: JointDecoder,
        likelihood: Likelihood,
        prior: Prior,
        codec: Codec | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.lower_encoder = encoder, lower_encoder
        self.lower_prior, self.decoder = lower_prior, decoder
        self.likelihood, self.prior, self.codec = likelihood, prior, codec or ImageCodec()

    @property
    def latent_dims(self) -> tuple[int, ...]:
        """The number of dimensions of every level, that of the top first."""
        return (self.latent_dim, self.latent_dim)

    def posterior(self, batch: Batch) -> DiagonalNormal:
        """q(z_0|x) for B items: parameters `(B, D)`."""
        refuse_condition(batch.y)
        posterior: DiagonalNormal = self.encoder(batch.x)
        return posterior

    def decode_levels(self, latents: Sequence[Tensor], y: Tensor | None = None) -> Distribution:
        """p(x|z) for the latents `(..., D)` of the top level, or of both.

        Without latents of the lower level, they are the mean of its prior.
        """
        refuse_condition(y)
        top, *below = latents
        return self._decode(top, below[0] if below else self._lower_prior(top).mean)

    def generate(
        self, z: Tensor, noise: Noise, temperature: float = 1.0, y: Tensor | None = None
    ) -> Distribution:
        """p(x|z) for latents `(..., D)` of the top level, with the lower level sampled."""
        refuse_condition(y)
        flat = z.flatten(0, -2)
        below = self._lower_prior(flat).sample(len(flat), noise, temperature)
        return self._decode(z, below.view(z.shape))

    def infer(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        """Encode B items, take K samples of the latents of both levels, and decode them."""
        top, top_prior = self.posterior(batch), self.prior(batch.y)
        above = Level.draw(top, top_prior, samples, noise)
        lower: DiagonalNormal = self.lower_encoder(batch.x, above.z)
        below = Level.draw(lower, self._lower_prior(above.z), samples, noise)
        return Inference((above, below), self._decode(above.z, below.z))

    def _lower_prior(self, z: Tensor) -> DiagonalNormal:
        """p(z_1 | z_0) for samples `(..., D)` of the top level: parameters `(..., D)`."""
        normal: DiagonalNormal = self.lower_prior(z.flatten(0, -2))
        shape = z.shape
        return DiagonalNormal(normal.mean.view(shape), normal.log_variance.view(shape))

    def _decode(self, z_0: Tensor, z_1: Tensor) -> Distribution:
        distribution: Distribution = self.likelihood(self.decoder(z_0, z_1))
        return distribution
