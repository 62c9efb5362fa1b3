"""A ladder VAE: several levels of latents, with one top-down pass for inference and generation.

    p(z)   = p(z_0) Π_l p(z_l | z_<l)           z_0 is the top level; each level sees those above
    q(z|x) = q(z_0 | x) Π_l q(z_l | x, z_<l)

The image goes once through the encoder, bottom-up and without samples. Then the decoder goes down,
and at each level the prior is known before the posterior is made of it and of the encoder's
features (Sønderby et al., 2016, https://arxiv.org/abs/1602.02282; Kingma et al., 2016,
https://arxiv.org/abs/1606.04934). As in the latter, networks and latents below the top are
convolutional and residual, and what the two passes say about the posterior is added:

    p(z_l | z_<l)    = N(μ, σ²)
    q(z_l | x, z_<l) = N(μ + σ m, σ² exp s)     (m, s) = bottom-up + top-down

In units of the prior, the posterior is N(m, exp s), and its KL is that of a flat VAE to N(0, 1),
whatever μ and σ are. So a narrow prior cannot make it explode, and m = s = 0 is a level that says
nothing. The precision-weighted posterior of Sønderby et al. lost its lower levels in the trainings
of docs/objectives.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.model.codec import Codec, ImageCodec
from vae_cli.model.inference import Inference, Level
from vae_cli.model.likelihoods import Distribution, Likelihood
from vae_cli.model.networks.conv import Block, ConvDecoder, ConvEncoder, ConvSizes, conv, norm
from vae_cli.model.posterior import DiagonalNormal
from vae_cli.model.priors import Prior
from vae_cli.model.vae import LatentModel, refuse_condition
from vae_cli.noise import Noise


@final
class Rung(nn.Module):
    """The conditional prior and posterior of one level, and the way of its latents into the image.

    The latents are images of a few channels, in the size of one level of the decoder. They are
    flattened to `D = channels × height × width` values.

    At the start of a training, the posterior is close to the prior, and the latents change little.
    Otherwise their noise and their KL hide the top level at first, and the training can stay where
    no level says anything.

    Args:
        sizes: of the encoder and decoder.
        stage: the level of the decoder whose input is changed; 0 is the coarsest.
        channels: of the latents.
    """

    def __init__(self, sizes: ConvSizes, stage: int, channels: int) -> None:
        super().__init__()
        self.stage = stage
        width, self.shape = sizes.widths[-1 - stage], (channels, *sizes.sides[-1 - stage])
        self.block, self.activation = Block(width, sizes.activation), sizes.activation()
        self.norm_down, self.norm_up = norm(width), norm(width)
        self.down, self.up = conv(width, 4 * channels), conv(width, 2 * channels)
        self.merge = conv(channels, width)
        for layer, factor in ((self.down, 0.1), (self.up, 0.1), (self.merge, 0.01)):
            shrink(layer, factor)

    @property
    def latent_dim(self) -> int:
        """D."""
        return prod(self.shape)

    def look_down(self, h: Tensor) -> tuple[DiagonalNormal, DiagonalNormal]:
        """The prior given the levels above, and their share of the change to the posterior.

        Args:
            h: features of the top-down pass, `(N, width, height, width)`.

        Returns:
            Two sets of parameters `(N, D)`.
        """
        parts = self.down(self.activation(self.norm_down(h))).float().chunk(4, 1)
        mean, log_variance, mean_change, log_change = (part.flatten(1) for part in parts)
        return DiagonalNormal(mean, log_variance), DiagonalNormal(mean_change, log_change)

    def look_up(self, features: Tensor) -> DiagonalNormal:
        """The share of the image in the change to the posterior: parameters `(B, D)`.

        Args:
            features: of the bottom-up pass, `(B, width, height, width)`.
        """
        parts = self.up(self.activation(self.norm_up(features))).float().chunk(2, 1)
        return DiagonalNormal(*(part.flatten(1) for part in parts))

    def add(self, h: Tensor, z: Tensor) -> Tensor:
        """The features of the top-down pass with the latents `(N, D)` of this level."""
        merged: Tensor = self.merge(z.unflatten(1, self.shape))
        return h + merged


@torch.no_grad()
def shrink(layer: nn.Conv2d, factor: float) -> None:
    """Let a convolution start with small weights and without a bias."""
    assert layer.bias is not None
    layer.weight.mul_(factor)
    layer.bias.zero_()


Choose = Callable[[int, Rung, Tensor], Tensor]


@final
class LadderVAE(LatentModel):
    """An encoder, and a decoder with further latents on its way down.

    Without rungs it is a flat VAE.

    Example:
        >>> import torch
        >>> from vae_cli.data.batch import Batch
        >>> from vae_cli.model import PRESETS, ConvDecoder, ConvEncoder, LadderVAE, Rung
        >>> from vae_cli.model import SquaredError, StandardNormal, choose_conv_sizes
        >>> sizes = choose_conv_sizes((1, 28, 28), PRESETS["small"])
        >>> encoder, decoder = ConvEncoder(sizes, 20), ConvDecoder(sizes, 20)
        >>> rungs = [Rung(sizes, 0, channels=4), Rung(sizes, 1, channels=2)]
        >>> parts = {"likelihood": SquaredError(), "prior": StandardNormal(20)}
        >>> model = LadderVAE(encoder, decoder, rungs, **parts)
        >>> [level.z.shape[2] for level in model.infer(Batch(torch.rand(8, 1, 28, 28))).levels]
        [20, 196, 392]

    Args:
        encoder: of the top level; its features serve the other levels.
        decoder: the top-down pass.
        rungs: the levels below the top, those at a coarser stage of the decoder first.
        likelihood: what the raw outputs of the decoder mean.
        prior: p(z) of the top level.
        codec: the way from items to what the encoder takes; None is that of images.
    """

    def __init__(
        self,
        encoder: ConvEncoder,
        decoder: ConvDecoder,
        rungs: Iterable[Rung],
        *,
        likelihood: Likelihood,
        prior: Prior,
        codec: Codec | None = None,
    ) -> None:
        super().__init__()
        self.codec = codec or ImageCodec()
        self.encoder, self.decoder = encoder, decoder
        self.rungs = nn.ModuleList(rungs)
        self.likelihood, self.prior = likelihood, prior

    @property
    def latent_dims(self) -> tuple[int, ...]:
        """The number of dimensions of every level, that of the top first."""
        return (self.latent_dim, *(rung.latent_dim for rung in self._rungs()))

    def posterior(self, batch: Batch) -> DiagonalNormal:
        """q(z_0|x) for B images: parameters `(B, D)`."""
        refuse_condition(batch.y)
        posterior: DiagonalNormal = self.encoder(batch.x)
        return posterior

    def decode_levels(self, latents: Sequence[Tensor], y: Tensor | None = None) -> Distribution:
        """p(x|z) for the latents `(..., D)` of the first levels, the top one first.

        The latents of the levels that are not given are the means of their priors.
        """
        refuse_condition(y)

        def choose(number: int, rung: Rung, h: Tensor) -> Tensor:
            if number < len(latents):
                return latents[number].flatten(0, -2)
            return rung.look_down(h)[0].mean

        return self._descend(latents[0], choose)

    def generate(
        self, z: Tensor, noise: Noise, temperature: float = 1.0, y: Tensor | None = None
    ) -> Distribution:
        """p(x|z) for latents `(..., D)` of the top level, with the levels below sampled."""
        refuse_condition(y)

        def choose(_: int, rung: Rung, h: Tensor) -> Tensor:
            return rung.look_down(h)[0].sample(len(h), noise, temperature)

        return self._descend(z, choose)

    def infer(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        """Encode B images, take K samples of the latents of all levels, and decode them."""
        refuse_condition(batch.y)
        features, count = self.encoder.features(batch.x), (samples, len(batch))
        top = self.encoder.posterior_from(features[-1])
        levels = [Level.draw(top, self.prior(batch.y), samples, noise)]

        def choose(_: int, rung: Rung, h: Tensor) -> Tensor:
            prior, change = (unflatten(one, count) for one in rung.look_down(h))
            posterior = combine(prior, change, rung.look_up(features[-1 - rung.stage]))
            levels.append(Level.draw(posterior, prior, samples, noise))
            return levels[-1].z.flatten(0, 1)

        likelihood = self._descend(levels[0].z, choose)
        return Inference(tuple(levels), likelihood)

    def _descend(self, z: Tensor, choose: Choose) -> Distribution:
        """The top-down pass from latents `(..., D)` of the top level.

        Args:
            z: the latents.
            choose: the latents `(N, D)` of a level, for its number, its rung, and the features
                `(N, width, height, width)` of the levels above.
        """
        h = self.decoder.start(z.flatten(0, -2))
        for stage in range(len(self.decoder.levels)):
            for number, rung in enumerate(self._rungs(), 1):
                if rung.stage == stage:
                    h = rung.block(h)
                    h = rung.add(h, choose(number, rung, h))
            h = self.decoder.enlarge(h, stage)
        outputs = self.decoder.out(h)
        distribution: Distribution = self.likelihood(outputs.unflatten(0, z.shape[:-1]))
        return distribution

    def _rungs(self) -> Iterator[Rung]:
        for rung in self.rungs:
            assert isinstance(rung, Rung)
            yield rung


def unflatten(normal: DiagonalNormal, count: tuple[int, int]) -> DiagonalNormal:
    """Parameters `(K B, D)` as `(K, B, D)`."""
    mean, log_variance = normal.mean, normal.log_variance
    return DiagonalNormal(mean.unflatten(0, count), log_variance.unflatten(0, count))


def combine(
    prior: DiagonalNormal, top_down: DiagonalNormal, bottom_up: DiagonalNormal
) -> DiagonalNormal:
    """The posterior, from the prior and both changes to it in units of the prior: `(K, B, D)`."""
    change = top_down.mean + bottom_up.mean
    log_change = top_down.log_variance + bottom_up.log_variance
    mean = torch.addcmul(prior.mean, prior.scale, change)
    return DiagonalNormal(mean, prior.log_variance + log_change)
