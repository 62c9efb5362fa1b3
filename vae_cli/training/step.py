"""One training step: the loss of a batch, its gradients, and the step of the optimizer.

This is algorithm 1 of Kingma & Welling (2014). `loss_and_gradients` computes it as the paper says.
For a small network, the bookkeeping of autograd takes as long as a quarter of its arithmetic.
`trace` therefore records the same operations once, forward and backward, as a flat function: the
results are equal bit for bit, and there is no bookkeeping.
"""

import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from vae_cli.model import Loss, Objective
from vae_cli.training.state import TrainState

LossAndGradients = Callable[[Tensor], tuple[Loss, list[Tensor]]]
Reduce = Callable[[list[Tensor]], list[Tensor]]


def identity(tensors: list[Tensor]) -> list[Tensor]:
    """The reduction of a single process: what it computed is already the whole."""
    return tensors


def loss_and_gradients(
    state: TrainState, objective: Objective, x: Tensor
) -> tuple[Loss, list[Tensor]]:
    """The loss of images `(B, C, H, W)` in [0, 1] or rows `(B, D)`, and all its gradients.

    A gradient that is not finite makes the loss not a number, so that both are treated in the same
    way: the optimizer takes no step, and the training ends.
    """
    with torch.autocast(x.device.type, state.dtype, enabled=state.dtype != torch.float32):
        inference = state.model(x, state.generator)
    loss = objective(x, inference)
    gradients = torch.autograd.grad(loss.loss, list(state.optimizer.parameters.values()))
    zero_if_finite = 0 * torch.stack([gradient.sum() for gradient in gradients]).sum()
    checked = loss.loss.detach() + zero_if_finite
    return Loss(checked, loss.distortion, loss.kl), list(gradients)


def train_step(
    state: TrainState,
    loss_and_gradients: LossAndGradients,
    x: Tensor,
    learning_rate: float | Tensor,
    reduce: Reduce = identity,
) -> None:
    """Train on one batch. It never waits for the device.

    Args:
        state: changed in place, except for the counts of steps and items.
        loss_and_gradients: of a batch: traced, or the function of this name with its first two
            arguments bound.
        x: `(B, C, H, W)`, pixels in [0, 1], or `(B, D)`.
        learning_rate: a number, or a scalar tensor on the device.
        reduce: combines the gradients of several processes.
    """
    loss, gradients = loss_and_gradients(x)
    state.optimizer.step(reduce(gradients), learning_rate, loss.loss)
    state.totals.add(loss)


def trace(state: TrainState, objective: Objective, x: Tensor) -> LossAndGradients:
    """`loss_and_gradients` for batches of the shape of `x`, as a flat list of tensor operations.

    Returns:
        A function of a batch. It uses the parameters and the generator that the state has when it
        is called. If the model cannot be traced, it is the plain function, and a warning says so.
    """
    plain = partial(loss_and_gradients, state, objective)

    def flat(x: Tensor) -> tuple[Tensor, ...]:
        loss, gradients = plain(x)
        return loss.loss, loss.distortion, loss.kl, *gradients

    before = state.generator.get_state()
    try:
        operations = make_fx(flat)(x)
    except (RuntimeError, TypeError, ValueError) as error:
        warnings.warn(f"the step could not be traced and runs slower: {error}", stacklevel=2)
        return plain
    finally:
        state.generator.set_state(before)

    @torch.no_grad()
    def traced(x: Tensor) -> tuple[Loss, list[Tensor]]:
        loss, distortion, kl, *gradients = operations(x)
        return Loss(loss, distortion, kl), gradients

    return traced
