"""A VAE with two levels of latents in fully connected networks.

    p(x, z) = p(z_0) p(z_1 | z_0) p(x | z_0, z_1)      z_0 is the top level
    q(z|x)  = q(z_0 | x) q(z_1 | x, z_0)

This is the HVAE of Tomczak & Welling (2018, https://arxiv.org/abs/1705.07120), with which Norouzi
et al. (2020) compare too. Where a network has two inputs, each has layers of its own, and a joint
layer follows.
"""

from collections.abc import Sequence
from typing import final

from torch import Generator, Tensor

from vae_cli.model.columns import ColumnScaling
from vae_cli.model.inference import ConditionalPrior, Inference, Level
from vae_cli.model.likelihoods import Distribution, Likelihood
from vae_cli.model.networks.joint import JointDecoder, JointEncoder
from vae_cli.model.networks.mlp import MLPEncoder
from vae_cli.model.normal import DiagonalNormal
from vae_cli.model.priors import Prior
from vae_cli.model.vae import LatentModel, Pick


@final
class TwoLevelVAE(LatentModel):
    """Two levels of latents, each a vector of the same number of dimensions.

    Args:
        encoder: q(z_0 | x).
        lower_encoder: q(z_1 | x, z_0).
        lower_prior: p(z_1 | z_0).
        decoder: p(x | z_0, z_1).
        likelihood: what the raw outputs of the decoder mean.
        prior: p(z_0).
        columns: the scaling of the columns of a table; None for images.
    """

    def __init__(
        self,
        encoder: MLPEncoder,
        lower_encoder: JointEncoder,
        lower_prior: MLPEncoder,
        decoder: JointDecoder,
        likelihood: Likelihood,
        prior: Prior,
        columns: ColumnScaling | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.lower_encoder = encoder, lower_encoder
        self.lower_prior, self.decoder = lower_prior, decoder
        self.likelihood, self.prior, self.columns = likelihood, prior, columns

    @property
    def latent_dims(self) -> tuple[int, ...]:
        """The number of dimensions of every level, that of the top first."""
        return (self.latent_dim, self.latent_dim)

    def posterior(self, x: Tensor) -> DiagonalNormal:
        """q(z_0|x) for images `(B, C, H, W)` in [0, 1], or standardized rows: `(B, D)`."""
        posterior: DiagonalNormal = self.encoder(x)
        return posterior

    def decode_levels(self, latents: Sequence[Tensor]) -> Distribution:
        """p(x|z) for the latents `(..., D)` of the top level, or of both.

        Without latents of the lower level, they are the mean of its prior.
        """
        top, *below = latents
        return self._decode(top, below[0] if below else self._lower_prior(top).mean)

    def generate(
        self, z: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> Distribution:
        """p(x|z) for latents `(..., D)` of the top level, with the lower level sampled."""
        prior = self._lower_prior(z)
        return self._decode(z, prior.mean.lerp(prior.rsample(generator), temperature))

    def infer_with(self, x: Tensor, samples: int, pick: Pick) -> Inference:
        """Encode items, and decode what is picked from the posteriors of all levels."""
        top, top_prior = self.prior.encode_with(self.posterior, x)
        z_0 = pick(top.expand(samples))
        lower: DiagonalNormal = self.lower_encoder(x, z_0)
        z_1 = pick(lower)
        lower_prior = ConditionalPrior(self._lower_prior(z_0))
        levels = (Level(top, top_prior, z_0), Level(lower, lower_prior, z_1))
        return Inference(levels, self._decode(z_0, z_1))

    def _lower_prior(self, z: Tensor) -> DiagonalNormal:
        """p(z_1 | z_0) for samples `(..., D)` of the top level: parameters `(..., D)`."""
        normal: DiagonalNormal = self.lower_prior(z.flatten(0, -2))
        shape = z.shape
        return DiagonalNormal(normal.mean.view(shape), normal.log_variance.view(shape))

    def _decode(self, z_0: Tensor, z_1: Tensor) -> Distribution:
        distribution: Distribution = self.likelihood(self.decoder(z_0, z_1))
        return distribution
