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
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from vae_cli.model import Context, Loss, Objective
from vae_cli.training.state import TrainState

LossAndGradients = Callable[[Tensor, Tensor], tuple[Loss, list[Tensor]]]
Reduce = Callable[[list[Tensor]], list[Tensor]]


def identity(tensors: list[Tensor]) -> list[Tensor]:
    """The reduction of a single process: what it computed is already the whole."""
    return tensors


def loss_and_gradients(
    state: TrainState, objective: Objective, data_size: int, x: Tensor, warmup: Tensor
) -> tuple[Loss, list[Tensor]]:
    """The loss of a batch, and all its gradients.

    A gradient that is not finite makes the loss not a number, so that both are treated in the same
    way: the optimizer takes no step, and the training ends.

    Args:
        state: the model, and the generator of the samples.
        objective: what is minimized.
        data_size: the number of items in the training set.
        x: images `(B, C, H, W)` in [0, 1], or standardized rows `(B, D)`.
        warmup: scalar from 0 to 1, the warm-up of the objective at this step.
    """
    model, generator = state.model, state.generator
    x = model.codec.draw(x, generator)
    with torch.autocast(x.device.type, state.dtype, enabled=state.dtype != torch.float32):
        inference = model.infer(x, objective.samples, generator)
    loss = objective(x, inference, Context(warmup, data_size, generator))
    gradients = torch.autograd.grad(loss.loss, list(state.optimizer.parameters.values()))
    zero_if_finite = 0 * torch.stack([gradient.sum() for gradient in gradients]).sum()
    return Loss(loss.loss.detach() + zero_if_finite, loss.terms), list(gradients)


def train_step(
    state: TrainState,
    loss_and_gradients: LossAndGradients,
    x: Tensor,
    learning_rate: float | Tensor,
    warmup: Tensor,
    reduce: Reduce = identity,
) -> None:
    """Train on one batch. It never waits for the device.

    Args:
        state: changed in place, except for the counts of steps and items.
        loss_and_gradients: of a batch: traced, or the function of this name with its first three
            arguments bound.
        x: `(B, C, H, W)`, pixels in [0, 1], or `(B, D)`.
        learning_rate: a number, or a scalar tensor on the device.
        warmup: a scalar tensor on the device.
        reduce: combines the gradients of several processes.
    """
    loss, gradients = loss_and_gradients(x, warmup)
    state.optimizer.step(reduce(gradients), learning_rate, loss.loss)
    if state.average is not None:
        state.average.update()
    state.totals.add(loss)


def trace(state: TrainState, objective: Objective, data_size: int, x: Tensor) -> LossAndGradients:
    """`loss_and_gradients` for batches of the shape of `x`, as a flat list of tensor operations.

    Returns:
        A function of a batch and its warm-up. It uses the parameters and the generator that the
        state has when it is called. If the model cannot be traced, it is the plain function, and a
        warning says so.
    """
    plain = partial(loss_and_gradients, state, objective, data_size)
    names: list[str] = []

    def flat(x: Tensor, warmup: Tensor) -> tuple[Tensor, ...]:
        loss, gradients = plain(x, warmup)
        names[:] = loss.terms
        return loss.loss, *loss.terms.values(), *gradients

    before = state.generator.get_state()
    try:
        operations = make_fx(flat)(x, torch.ones((), device=x.device))
        remove_views(operations)
    except (RuntimeError, TypeError, ValueError) as error:
        warnings.warn(f"the step could not be traced and runs slower: {error}", stacklevel=2)
        return plain
    finally:
        state.generator.set_state(before)

    @torch.no_grad()
    def traced(x: Tensor, warmup: Tensor) -> tuple[Loss, list[Tensor]]:
        loss, *rest = operations(x, warmup)
        terms = dict(zip(names, rest, strict=False))
        return Loss(loss, terms), rest[len(names) :]

    return traced


def remove_views(operations: GraphModule) -> None:
    """Remove what changes nothing from a flat list of operations: a sixth of a small network's.

    These are the operations that return their input as it is, and all but the last of several
    views in a row. Nothing in the list changes a tensor that has a view.
    """
    aten = torch.ops.aten
    for node in operations.graph.nodes:
        if node.target not in {aten.alias.default, aten.view.default, aten.expand.default}:
            continue
        source = node.args[0]
        if node.target == source.target == aten.view.default:
            node.update_arg(0, source.args[0])
        if node.target == aten.alias.default or _layout(node) == _layout(node.args[0]):
            node.replace_all_uses_with(node.args[0])
    operations.graph.eliminate_dead_code()
    operations.recompile()


def _layout(node: Node) -> tuple[object, ...]:
    tensor = node.meta["val"]
    return tensor.shape, tensor.stride()
