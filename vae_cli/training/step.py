"""One step: the loss of a batch, its gradient, and Adam's answer to it.

This is algorithm 1 of Kingma & Welling (2014). `differentiate` says what it computes. Autograd's
bookkeeping costs a small network as much as a quarter of its arithmetic, so `trace` writes the same
operations down once, forward and backward, as a flat function: bit for bit the same, with nothing
to keep book of.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from vae_cli.objectives import Loss, Objective
from vae_cli.training.state import TrainState

Differentiated = tuple[Loss, list[Tensor]]


def differentiate(state: TrainState, objective: Objective, x: Tensor) -> Differentiated:
    """The loss of images `(B, C, H, W)` in [0, 1], and its gradient for each parameter."""
    with torch.autocast(x.device.type, state.dtype, enabled=state.dtype != torch.float32):
        inference = state.model(x, state.generator)
    loss = objective(x, inference)
    gradients = torch.autograd.grad(loss.loss, list(state.optimizer.parameters.values()))
    return Loss(loss.loss.detach(), loss.distortion, loss.kl), list(gradients)


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
    loss, gradients = differentiate(state, objective, x)
    state.optimizer.step(gradients, learning_rate, loss.loss)
    return loss


def trace(
    state: TrainState, objective: Objective, x: Tensor
) -> Callable[[Tensor], Differentiated] | None:
    """`differentiate` for batches of the shape of `x`, as a flat list of tensor operations.

    Returns:
        A function of a batch that uses the state's parameters and generator as they then are; None,
        with a warning, for a model that cannot be written down so.
    """

    def flat(x: Tensor) -> tuple[Tensor, ...]:
        loss, gradients = differentiate(state, objective, x)
        return loss.loss, loss.distortion, loss.kl, *gradients

    before = state.generator.get_state()
    try:
        operations = make_fx(flat)(x)
    except (RuntimeError, TypeError, ValueError) as error:
        warnings.warn(f"the step could not be traced and runs slower: {error}", stacklevel=2)
        return None
    finally:
        state.generator.set_state(before)

    @torch.no_grad()
    def traced(x: Tensor) -> Differentiated:
        loss, distortion, kl, *gradients = operations(x)
        return Loss(loss, distortion, kl), gradients

    return traced
