"""Networks: encoders from items to posteriors, decoders from latents to raw outputs."""

from vae_cli.model.networks.conv import PRESETS, ConvDecoder, ConvEncoder, plan
from vae_cli.model.networks.joint import JointDecoder, JointEncoder
from vae_cli.model.networks.layers import Gated
from vae_cli.model.networks.mlp import MLPDecoder, MLPEncoder
from vae_cli.model.networks.rung import Rung

__all__ = [
    "PRESETS",
    "ConvDecoder",
    "ConvEncoder",
    "Gated",
    "JointDecoder",
    "JointEncoder",
    "MLPDecoder",
    "MLPEncoder",
    "Rung",
    "plan",
]
