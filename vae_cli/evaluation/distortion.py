"""The distortion of many decoded samples of one item, without more memory than they have already.

With thousands of samples for each item, an evaluation is a chain of matrix products followed by
this step. `Distribution.distortion` makes two or three new tensors of the size of the outputs,
which costs as much time as half of the products.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_cli.model import VAE, Bernoulli, SquaredError


def distortion_from_outputs(model: VAE, outputs: Tensor, x: Tensor) -> Tensor:
    """−log p(x|z) without its constant, in nats, for raw outputs of one item: `(K,)`.

    Args:
        model: whose decoder made the outputs.
        outputs: `(K, ...)`; they are overwritten.
        x: the item, `(1, ...)`.
    """
    match model.likelihood:
        case SquaredError():
            errors = outputs.float().sigmoid_().sub_(x)
            norms: Tensor = torch.linalg.vector_norm(errors.flatten(1), dim=1)
            return norms.square_()
        case Bernoulli():
            logits = outputs.float().flatten(1)
            return F.softplus(logits).sum(-1) - logits @ x.flatten()
        case likelihood:
            distortion: Tensor = likelihood(outputs[:, None]).distortion(x)
            return distortion[:, 0]
