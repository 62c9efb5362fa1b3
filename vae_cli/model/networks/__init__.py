"""Networks: encoders from items to posteriors, decoders from latents to raw outputs."""

from vae_cli.model.networks.conv import PRESETS, ConvDecoder, ConvEncoder, choose_conv_sizes
from vae_cli.model.networks.dense import Gated, JointDecoder, JointEncoder, MLPDecoder, MLPEncoder

__all__ = [
    "PRESETS",
    "ConvDecoder",
    "ConvEncoder",
    "Gated",
    "JointDecoder",
    "JointEncoder",
    "MLPDecoder",
    "MLPEncoder",
    "choose_conv_sizes",
]
