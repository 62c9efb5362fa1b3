"""The distortion of many decoded samples of one item, without more memory than they have already.

With thousands of samples for each item, an evaluation is a chain of matrix products followed by
this step. `Distribution.distortion` makes two or three new tensors of the size of the outputs,
which costs as much time as half of the products.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_cli.model import BernoulliPixels, Distribution, HalfVarianceNormal


def distortion_of_samples(likelihood: Distribution, x: Tensor) -> Tensor:
    """−log p(x|z) without its constant, in nats, for K samples of the latents of one item: `(K,)`.

    Args:
        likelihood: p(x|z), with mean `(K, 1, ...)`; its tensors may be overwritten.
        x: the item, `(1, ...)`.
    """
    match likelihood:
        case HalfVarianceNormal(mean):
            norms: Tensor = torch.linalg.vector_norm(mean.sub_(x).flatten(1), dim=1)
            return norms.square_()
        case BernoulliPixels(logits):
            flat = logits.flatten(1)
            return F.softplus(flat).sum(-1) - flat @ x.flatten()
        case _:
            distortion: Tensor = likelihood.distortion(x)[:, 0]
            return distortion
