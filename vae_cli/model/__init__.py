"""A variational autoencoder and its parts, as plain modules of PyTorch.

`VAE` (vae.py) joins an encoder, which ends in a head (heads.py) that makes a posterior
(posterior.py), a decoder, a likelihood and a prior; `LadderVAE` (ladder.py) has several levels of
latents. An objective says what a training minimizes. `networks/`, `likelihoods/`, `priors/` and
`objectives/` have one file for each family. The codec (codec.py, table_codec.py) is the one way
between the items of a data set and what the network takes; condition.py has what a model of p(x|y)
is told about them.

It may import the data and `vae_cli.noise`, and no settings: each class takes tensors and plain
arguments, and can be used in a notebook.
"""

from vae_cli.model.autoregressive import FlowHead, FlowPosterior
from vae_cli.model.codec import Codec, ImageCodec
from vae_cli.model.codes import (
    Codes,
    CodesHead,
    CodeUsage,
    UniformCodes,
    count_codes,
    measure_usage,
)
from vae_cli.model.condition import Condition
from vae_cli.model.full_normal import FullNormal, FullNormalHead
from vae_cli.model.heads import ClassHead, Head, NormalHead
from vae_cli.model.inference import Inference, Level
from vae_cli.model.ladder import LadderVAE, Rung
from vae_cli.model.likelihoods import (
    Bernoulli,
    BernoulliPixels,
    DiscretizedLogistic,
    Distribution,
    HalfVarianceNormal,
    Laplace,
    Likelihood,
    SharedGaussian,
    SquaredError,
    TableLikelihood,
)
from vae_cli.model.networks import (
    PRESETS,
    ConvDecoder,
    ConvEncoder,
    JointDecoder,
    JointEncoder,
    MLPDecoder,
    MLPEncoder,
    choose_conv_sizes,
)
from vae_cli.model.objectives import (
    DIPVAE,
    Adversarial,
    Capacity,
    Context,
    Critic,
    FactorVAE,
    InfoVAE,
    Learning,
    Loss,
    NegativeCIWAE,
    NegativeDReG,
    NegativeELBO,
    NegativeIWAE,
    NegativeM2,
    NegativePIWAE,
    Objective,
    TotalCorrelation,
)
from vae_cli.model.posterior import (
    DiagonalNormal,
    LatentPrior,
    LatentSampler,
    Posterior,
    UnitNormal,
    kl,
    kl_by_dim,
    kl_by_group,
    require_normal,
)
from vae_cli.model.priors import (
    ConditionalNormal,
    MixtureOfNormals,
    Prior,
    RealNVP,
    StandardNormal,
    VampPrior,
)
from vae_cli.model.quantizers import FiniteScalarQuantizer, Quantizer, VectorQuantizer
from vae_cli.model.reductions import log_sum_exp
from vae_cli.model.size import Size, measure_size
from vae_cli.model.sphere import SphereHead, UniformOnSphere, UniformSphere, VonMisesFisher
from vae_cli.model.table_codec import TableCodec
from vae_cli.model.vae import VAE, LatentModel, TwoLevelVAE

__all__ = [
    "DIPVAE",
    "PRESETS",
    "VAE",
    "Adversarial",
    "Bernoulli",
    "BernoulliPixels",
    "Capacity",
    "ClassHead",
    "CodeUsage",
    "Codec",
    "Codes",
    "CodesHead",
    "Condition",
    "ConditionalNormal",
    "Context",
    "ConvDecoder",
    "ConvEncoder",
    "Critic",
    "DiagonalNormal",
    "DiscretizedLogistic",
    "Distribution",
    "FactorVAE",
    "FiniteScalarQuantizer",
    "FlowHead",
    "FlowPosterior",
    "FullNormal",
    "FullNormalHead",
    "HalfVarianceNormal",
    "Head",
    "ImageCodec",
    "Inference",
    "InfoVAE",
    "JointDecoder",
    "JointEncoder",
    "LadderVAE",
    "Laplace",
    "LatentModel",
    "LatentPrior",
    "LatentSampler",
    "Learning",
    "Level",
    "Likelihood",
    "Loss",
    "MLPDecoder",
    "MLPEncoder",
    "MixtureOfNormals",
    "NegativeCIWAE",
    "NegativeDReG",
    "NegativeELBO",
    "NegativeIWAE",
    "NegativeM2",
    "NegativePIWAE",
    "NormalHead",
    "Objective",
    "Posterior",
    "Prior",
    "Quantizer",
    "RealNVP",
    "Rung",
    "SharedGaussian",
    "Size",
    "SphereHead",
    "SquaredError",
    "StandardNormal",
    "TableCodec",
    "TableLikelihood",
    "TotalCorrelation",
    "TwoLevelVAE",
    "UniformCodes",
    "UniformOnSphere",
    "UniformSphere",
    "UnitNormal",
    "VampPrior",
    "VectorQuantizer",
    "VonMisesFisher",
    "choose_conv_sizes",
    "count_codes",
    "kl",
    "kl_by_dim",
    "kl_by_group",
    "log_sum_exp",
    "measure_size",
    "measure_usage",
    "require_normal",
]
