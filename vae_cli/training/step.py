"""One step: the paper's algorithm 1 (Kingma & Welling, 2014) with Adam."""

import torch
from torch import Tensor

from vae_cli.objectives import Loss, Objective
from vae_cli.training.state import TrainState


def train_step(
    state: TrainState, objective: Objective, x: Tensor, learning_rate: float | Tensor
) -> Loss:
    """One step down the gradient of a batch; never waits for the device.

    Args:
        state: changed in place.
        objective: what is minimised.
        x: `(B, C, H, W)`, pixels in [0, 1].
        learning_rate: a number, or a scalar tensor on the device.
    """
    with torch.autocast(x.device.type, state.dtype, enabled=state.dtype != torch.float32):
        inference = state.model(x, state.generator)
    loss = objective(x, inference)
    gradients = torch.autograd.grad(loss.loss, list(state.optimizer.parameters.values()))
    state.optimizer.step(gradients, learning_rate)
    return loss
