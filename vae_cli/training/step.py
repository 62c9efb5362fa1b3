"""One training step: the losses of a batch, their gradients, and the steps of the optimizers.

This is algorithm 1 of Kingma & Welling (2014). `loss_and_gradients` computes it as the paper says.
For a small network, the bookkeeping of autograd takes as long as a quarter of its arithmetic.
`trace` therefore records the same operations once, forward and backward, as a flat function: the
results are equal bit for bit, and there is no bookkeeping. Nothing here waits for the device.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from itertools import chain, islice

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from vae_cli.data.batch import Batch
from vae_cli.model import Context, Loss
from vae_cli.noise import Part
from vae_cli.training.state import Player, TrainState
from vae_cli.training.world import Share

Gradients = dict[str, list[Tensor]]  # of each player
LossAndGradients = Callable[[Batch, Tensor], tuple[Loss, Gradients]]


def loss_and_gradients(
    state: TrainState,
    data_size: int,
    batch: Batch,
    warmup: Tensor,
    *,
    part: Part | None = None,
) -> tuple[Loss, Gradients]:
    """The losses of a batch, and the gradient of each player's loss by its own parameters.

    A gradient that is not finite makes its loss not a number, so that both are treated in the same
    way: no player takes a step, and the training ends.

    Args:
        state: the model, the objective, and the source of the samples.
        data_size: the number of items in the training set.
        batch: the items.
        warmup: scalar from 0 to 1, the warm-up of the objective at this step.
        part: what the items are of a batch of several processes.

    Raises:
        ValueError: there is a loss without a player, or a player without a loss.
    """
    model, objective, noise = state.model, state.objective, state.noise.for_part(part)
    batch = replace(batch, x=model.codec.draw(batch.x, noise))
    with torch.autocast(batch.x.device.type, state.dtype, enabled=state.dtype != torch.float32):
        inference = model.infer(batch, objective.samples, noise)
    loss: Loss = objective(batch, inference, Context(warmup, data_size, noise))
    require_a_loss_for_each(state.players, loss)
    losses, gradients, last = {}, {}, next(reversed(state.players))
    for name, player in state.players.items():
        parameters = list(player.parameters.values())
        gradients[name] = list(
            torch.autograd.grad(loss.losses[name], parameters, retain_graph=name != last)
        )
        losses[name] = loss.losses[name].detach() + zero_if_finite(gradients[name])
    return replace(loss, losses=losses), gradients


def require_a_loss_for_each(players: Mapping[str, Player], loss: Loss) -> None:
    """Check that the losses of an objective are those of the players.

    Raises:
        ValueError: they are not.
    """
    if players.keys() != loss.losses.keys():
        raise ValueError(f"losses for {list(loss.losses)}, but the players are {list(players)}")


def zero_if_finite(gradients: Sequence[Tensor]) -> Tensor:
    """0, or not a number if one of these values is infinite or not a number."""
    return 0 * torch.stack([gradient.sum() for gradient in gradients]).sum()


def train_step(
    state: TrainState,
    loss_and_gradients: LossAndGradients,
    batch: Batch,
    *,
    learning_rate: float | Tensor,
    warmup: Tensor,
    share: Share | None = None,
) -> None:
    """Train on one batch: all players step from the same point, or none does.

    Args:
        state: changed in place, except for the counts of steps and items.
        loss_and_gradients: of a batch: traced, or the function of this name with its first two
            arguments bound.
        batch: the items.
        learning_rate: a number, or a scalar tensor on the device.
        warmup: a scalar tensor on the device.
        share: what the items are of a batch of several processes.
    """
    loss, gradients = loss_and_gradients(batch, warmup)
    total = reduce(torch.add, loss.losses.values())  # not finite if one of them is not
    if share is not None:
        gradients, total = average(gradients, total, share)
    for name, player in state.players.items():
        player.optimizer.step(gradients[name], learning_rate, total)
    if state.average is not None:
        state.average.update()
    if share is None or share.weight:
        state.totals.add(loss)


def average(gradients: Gradients, total: Tensor, share: Share) -> tuple[Gradients, Tensor]:
    """The gradients of the whole batch, and a total that is finite if it is in all processes."""
    if share.world.size == 1:
        return gradients, total
    total, *means = share.world.mean([total, *chain(*gradients.values())], share.weight)
    values = iter(means)
    return {name: list(islice(values, len(some))) for name, some in gradients.items()}, total


def trace(
    state: TrainState, data_size: int, batch: Batch, part: Part | None = None
) -> LossAndGradients:
    """`loss_and_gradients` for batches like this one, as a flat list of tensor operations.

    Returns:
        A function of a batch and its warm-up. It uses the parameters and the noise that the state
        has when it is called. If the model cannot be traced, it is the plain function, and a
        warning says so.
    """
    plain = partial(loss_and_gradients, state, data_size, part=part)
    losses, terms = list(state.players), list[str]()

    def flat(x: Tensor, y: Tensor | None, warmup: Tensor) -> list[Tensor]:
        loss, gradients = plain(Batch(x, y), warmup)
        terms[:] = loss.terms
        return [*loss.losses.values(), *loss.terms.values(), *chain(*gradients.values())]

    before = state.noise.state()
    try:
        operations = make_fx(flat)(batch.x, batch.y, torch.ones((), device=batch.x.device))
        remove_views(operations)
    except (RuntimeError, TypeError, ValueError) as error:
        warnings.warn(f"the step could not be traced and runs slower: {error}", stacklevel=2)
        return plain
    finally:
        state.noise.restore(before)

    @torch.no_grad()
    def traced(batch: Batch, warmup: Tensor) -> tuple[Loss, Gradients]:
        values = iter(operations(batch.x, batch.y, warmup))
        loss = Loss(
            losses=dict(zip(losses, values, strict=False)),
            terms=dict(zip(terms, values, strict=False)),
            items=len(batch),
        )
        return loss, {
            name: list(islice(values, len(player.parameters)))
            for name, player in state.players.items()
        }

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
