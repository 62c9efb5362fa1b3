"""One training step: the losses of a batch, their gradients, and the steps of the optimizers.

This is algorithm 1 of Kingma & Welling (2014). `loss_and_gradients` computes it as the paper says.
For a small network, the bookkeeping of autograd takes as long as a quarter of its arithmetic.
`trace` therefore records the same operations once, forward and backward, as a flat function: the
results are equal bit for bit, and there is no bookkeeping. Nothing here waits for the device.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial, reduce
from itertools import chain, islice
from typing import final

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from vae_cli.data.batch import Batch
from vae_cli.model import Context, Inference, Loss
from vae_cli.training.state import Player, TrainState
from vae_cli.training.world import Share, World, answered, refuse_to_gather, share_of

Gradients = dict[str, list[Tensor]]  # of each player
LossAndGradients = Callable[[Batch, Tensor], tuple[Loss, Gradients]]


def loss_and_gradients(
    state: TrainState,
    data_size: int,
    batch: Batch,
    warmup: Tensor,
    *,
    share: Share | None = None,
) -> tuple[Loss, Gradients]:
    """The losses of a batch, and the gradient of each player's loss by its own parameters.

    Of a batch that several processes share, the losses are those of this process's part, and the
    gradients have the weight of the part: their sum over the processes is that of the batch.

    A gradient that is not finite makes its loss not a number, so that both are treated in the same
    way: no player takes a step, and the training ends.

    Args:
        state: the model, the objective, and the source of the samples.
        data_size: the number of items in the training set.
        batch: the items.
        warmup: scalar from 0 to 1, the warm-up of the objective at this step.
        share: what the items are of a batch, and in how many pieces they are computed, one after
            another; None if they are the whole batch, in one piece.

    Raises:
        ValueError: there is a loss without a player, or a player without a loss.
        UsageError: there are several pieces, and the objective compares items with each other.
    """
    share = share or share_of(len(batch))
    noise = state.noise.for_part(share.part)
    batch = replace(batch, x=state.model.codec.draw(batch.x, noise))
    if (condition := state.model.condition) is not None and batch.y is not None:
        batch = replace(batch, y=condition.drop(batch.y, noise))
    context = Context(warmup, data_size, noise, share.whole)
    if len(pieces := share.divide()) > 1:
        return accumulate(state, batch, context, pieces)
    return differentiate(state, batch, context, share)


def differentiate(
    state: TrainState, batch: Batch, context: Context, share: Share
) -> tuple[Loss, Gradients]:
    """The same for items that were drawn, and are computed together."""

    def infer(batch: Batch, samples: int) -> Inference:
        dtype = state.dtype
        with torch.autocast(batch.x.device.type, dtype, enabled=dtype != torch.float32):
            inference = state.model.infer(batch, samples, context.noise)
        return inference if share.part is None else inference.of_part(context.whole)

    inference = infer(batch, state.objective.samples)
    loss: Loss = state.objective(batch, inference, replace(context, infer=infer))
    require_a_loss_for_each(state.players, loss)
    losses, gradients, last = {}, {}, next(reversed(state.players))
    for name, player in state.players.items():
        parameters, own = list(player.parameters.values()), loss.losses[name]
        weighted = own if share.weight == 1 else share.weight * own
        gradients[name] = list(torch.autograd.grad(weighted, parameters, retain_graph=name != last))
        losses[name] = own.detach() + zero_if_finite(gradients[name])
    found = inference.statistics(context.noise)
    if not share.weight:  # these items are those of another process
        found = {name: torch.zeros_like(values) for name, values in found.items()}
    statistics = {name: values.detach() for name, values in found.items()}
    return replace(loss, losses=losses, statistics=statistics), gradients


def accumulate(
    state: TrainState, batch: Batch, context: Context, pieces: Sequence[Share]
) -> tuple[Loss, Gradients]:
    """The same piece by piece: what one needs to be differentiated is freed before the next one."""
    parts = [piece.part for piece in pieces if piece.part is not None]
    sources, start = state.noise.for_parts(parts), parts[0].start
    losses, gradients = list[Loss](), Gradients()
    for piece, part, noise in zip(pieces, parts, sources, strict=True):
        own = replace(context, noise=noise, whole=refuse_to_gather)
        some = batch[part.start - start :][: part.length]
        loss, more = differentiate(state, some, own, piece)
        gradients = add_gradients(gradients, more) if gradients else more
        losses.append(loss)
    return join_losses(losses), gradients


def add_gradients(first: Gradients, second: Gradients) -> Gradients:
    """The sums of the gradients of two pieces."""
    return {name: list(torch._foreach_add(first[name], second[name])) for name in first}


def join_losses(losses: Sequence[Loss]) -> Loss:
    """The losses of all items, from those of the pieces."""
    items = sum(loss.items for loss in losses)

    def mean(values: list[Tensor]) -> Tensor:
        weighted = [
            value * (loss.items / items) for value, loss in zip(values, losses, strict=True)
        ]
        return torch.stack(weighted).sum(0)

    first = losses[0]
    terms = {name: [loss.terms[name] for loss in losses] for name in first.terms}
    return Loss(
        losses={name: mean([loss.losses[name] for loss in losses]) for name in first.losses},
        terms={
            name: torch.cat(some) if some[0].ndim else mean(some) for name, some in terms.items()
        },
        items=items,
        statistics={
            name: torch.stack([loss.statistics[name] for loss in losses]).sum(0)
            for name in first.statistics
        },
    )


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
    exchange: "Exchange | None" = None,
) -> None:
    """Train on one batch: all players step from the same point, or none does.

    What the model learns by statistics instead of gradients, such as a codebook, it learns then.

    Args:
        state: changed in place, except for the counts of steps and items.
        loss_and_gradients: of a batch: traced, or the function of this name with its first two
            arguments and the share bound.
        batch: the items.
        learning_rate: of the players without one of their own: a number, or a scalar tensor on the
            device.
        warmup: a scalar tensor on the device.
        share: what the items are of a batch; None if they are the whole batch.
        exchange: with the other processes; None if there are none.
    """
    loss, gradients = loss_and_gradients(batch, warmup)
    total = reduce(torch.add, loss.losses.values())  # not finite if one of them is not
    statistics = loss.statistics
    if exchange is not None:
        gradients, total = exchange.sum(gradients, total)
        statistics = exchange.sum_statistics(statistics)
    for name, player in state.players.items():
        rate = learning_rate if player.rate is None else player.rate
        player.optimizer.step(gradients[name], rate, total)
    if statistics:
        state.model.absorb(statistics, total.isfinite())
    if state.average is not None:
        state.average.update()
    if share is None or share.weight:
        state.totals.add(loss)


@final
class Exchange:
    """The memory in which several processes add up their gradients, kept from step to step.

    It is one tensor, because each exchange costs time. In it, a gradient has the layout in memory
    of its parameter, which the optimizers need, and which is the same in all processes: autograd
    may choose another one, for example for a batch of a single image.

    Args:
        players: whose gradients they are.
        world: the processes.
    """

    def __init__(self, players: Mapping[str, Player], world: World) -> None:
        self.world = world
        self.lengths = {name: len(player.parameters) for name, player in players.items()}
        like = list(chain(*(player.parameters.values() for player in players.values())))
        sizes = [tensor.numel() for tensor in like]
        self.memory = like[0].detach().new_empty(1 + sum(sizes))
        total, *parts = self.memory.split([1, *sizes])
        self.views = [total.squeeze(0)] + [
            part.as_strided(tensor.shape, tensor.stride(), part.storage_offset())
            for part, tensor in zip(parts, like, strict=True)
        ]

    @torch.no_grad()
    def sum(self, gradients: Gradients, total: Tensor) -> tuple[Gradients, Tensor]:
        """The gradients of the whole batch, and a total that is finite if it is in all processes.

        They are valid until the next call.
        """
        torch._foreach_copy_(self.views, [total, *chain(*gradients.values())])
        self.world.sum_in_place(self.memory)
        values = iter(self.views[1:])
        sums = {name: list(islice(values, length)) for name, length in self.lengths.items()}
        return sums, self.views[0]

    def sum_statistics(self, statistics: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The statistics of the whole batch; models without any exchange nothing."""
        if not statistics:
            return {}
        return dict(zip(statistics, self.world.sum(list(statistics.values())), strict=True))


def trace(
    state: TrainState, data_size: int, batch: Batch, share: Share | None = None
) -> LossAndGradients:
    """`loss_and_gradients` for batches like this one, as a flat list of tensor operations.

    Returns:
        A function of a batch and its warm-up. It uses the parameters and the noise that the state
        has when it is called. For a batch in several pieces it is the plain function, because a
        trace keeps the memory of all pieces while it is made. If the model cannot be traced, it is
        the plain function too, and a warning says so.
    """
    plain = partial(loss_and_gradients, state, data_size, share=share)
    if share is not None and len(share.divide()) > 1:
        return plain
    losses, terms, statistics = list(state.players), list[str](), list[str]()
    is_shared = share is not None and share.world.size > 1

    def flat(x: Tensor, y: Tensor | None, warmup: Tensor) -> list[Tensor]:
        loss, gradients = plain(Batch(x, y), warmup)
        terms[:], statistics[:] = loss.terms, loss.statistics
        named = chain(*(some.values() for some in (loss.losses, loss.terms, loss.statistics)))
        return [*named, *chain(*gradients.values())]

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
        with answered() if is_shared else nullcontext():  # what an objective gathers comes in there
            values = iter(operations(batch.x, batch.y, warmup))
        loss = Loss(
            losses=dict(zip(losses, values, strict=False)),
            terms=dict(zip(terms, values, strict=False)),
            items=len(batch),
            statistics=dict(zip(statistics, values, strict=False)),
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
