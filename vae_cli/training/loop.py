"""The loop over epochs, and the evaluation on the test set.

Losses are in nats, summed over an item and averaged over items. Nothing is read from the device
inside an epoch: the totals accumulate there and are read once, at the end.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.data.batches import chunk_length, steps_per_epoch
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.split import Split
from vae_cli.errors import is_memory_full
from vae_cli.model import (
    Codes,
    CodeUsage,
    Context,
    Inference,
    LatentModel,
    Loss,
    Objective,
    UniformCodes,
    count_codes,
    measure_usage,
)
from vae_cli.noise import Noise, derive_seed
from vae_cli.training.epochs import prepare_epoch
from vae_cli.training.metrics import EpochReport, Metrics, Totals, names_of_totals
from vae_cli.training.schedules import Schedule, no_warmup
from vae_cli.training.state import TrainState
from vae_cli.training.world import ALONE, Share, World, shared_batches

EVALUATION_BATCH = 1000  # items
MAX_KL = 1e30  # nats of one dimension of an item; the sum over all items is still a float32


@final
class Sums:
    """What an evaluation sums up over the items of this process.

    Args:
        model: whose items they are.
        objective: whose losses they are.
    """

    def __init__(self, model: LatentModel, objective: Objective) -> None:
        self.totals = Totals(names_of_totals(model, objective), model.device)
        self.elbo = torch.zeros((), device=model.device)
        self.kl_by_dim = torch.zeros(model.latent_dim, device=model.device)
        self.has_kl_by_dim = True
        self.codes = CodeCounts(model.prior) if isinstance(model.prior, UniformCodes) else None

    def add(self, inference: Inference, loss: Loss, kl: Tensor | None) -> None:
        """Add a batch, with its KL by dimension `(B, D)` if it is known."""
        self.totals.add(loss)
        cost = loss.terms["kl"] + loss.terms[inference.likelihood.distortion_name]
        self.elbo -= (cost + inference.likelihood.constant).sum()
        if kl is None:
            self.has_kl_by_dim = False
        else:
            self.kl_by_dim += torch.where(kl.abs() < MAX_KL, kl, 0).sum(0)
        if self.codes is not None:
            self.codes.add(inference)

    def mean(self, count: int, world: World) -> Metrics:
        """The averages over the items of all processes."""
        self.totals.count = count
        totals = self.totals.gather(world)
        elbo, kl_by_dim = world.sum([self.elbo, self.kl_by_dim])
        by_dim = kl_by_dim.cpu() / count if self.has_kl_by_dim else None
        codes = None if self.codes is None else self.codes.measure(world)
        return replace(totals.mean(), elbo=(elbo / count).item(), kl_by_dim=by_dim, codes=codes)


@final
class CodeCounts:
    """How often each code occurs in an evaluation.

    Args:
        prior: knows how many there are.
    """

    def __init__(self, prior: UniformCodes) -> None:
        self.prior = prior
        self.counts = torch.zeros(prior.stages, prior.size, dtype=torch.int64)

    def add(self, inference: Inference) -> None:
        """Count those of a batch."""
        posterior = inference.levels[0].posterior
        assert isinstance(posterior, Codes)
        codes, prior = posterior.codes, self.prior
        self.counts = self.counts.to(codes.device) + count_codes(codes, prior.size, prior.stages)

    def measure(self, world: World) -> CodeUsage:
        """The distribution of those of all processes."""
        (total,) = world.sum([self.counts])
        return measure_usage(total)


def sum_losses(
    model: LatentModel,
    objective: Objective,
    batches: Iterable[tuple[Batch, Share]],
    context: Context,
) -> Sums:
    """The sums over this process's share of some batches."""
    sums = Sums(model, objective)
    for batch, share in batches:
        noise = context.noise.for_part(share.part)
        own = replace(context, noise=noise, whole=partial(gather, share))
        infer = partial(model.infer, noise=noise)
        inference = infer(batch, objective.samples)
        loss = objective(batch, inference, replace(own, infer=infer))
        kl_by_dim = inference.levels[0].kl_by_dim(own.whole)
        if share.weight:
            sums.add(inference, loss, kl_by_dim)
    return sums


@final
class MemoryFullElsewhereError(MemoryError):
    """The memory of another process is full."""


def gather(share: Share, values: Tensor) -> Tensor:
    """`Share.whole` in an evaluation, of which another process may have stopped.

    Raises:
        MemoryFullElsewhereError: it has.
    """
    if share.world.any(False):
        raise MemoryFullElsewhereError
    return share.whole(values)


@contextmanager
def full_memory_together(world: World) -> Iterator[None]:
    """A context that ends with a full memory in all processes, if it does in one of them.

    The one says so when the others next exchange something: in `gather`, or at the end.

    Raises:
        MemoryFullElsewhereError: in the others.
    """
    try:
        yield
    except MemoryFullElsewhereError:
        raise
    except (MemoryError, RuntimeError) as error:
        if is_memory_full(error):
            world.any(True)
        raise
    if world.any(False):
        raise MemoryFullElsewhereError


@torch.no_grad()
def evaluate(
    model: LatentModel,
    objective: Objective,
    split: Split,
    *,
    data_size: int,
    seed: int,
    world: World = ALONE,
) -> Metrics:
    """The averages over all items of a split, after the warm-up of the objective.

    The noise is the same in every call with the same seed, so that epochs can be compared. If the
    memory is full, it is done again with half as many items at a time.

    One item can make the averages infinite or not a number. They are what they are, but items whose
    KL is not finite are left out of the KL by dimension, which always consists of finite numbers.

    Args:
        model: on its device.
        objective: what the training minimizes, on the same device.
        split: the items.
        data_size: the number of items in the training set.
        seed: of the run, from which that of the noise is derived.
        world: the processes that share the items.
    """
    samples, device = objective.samples, model.device
    limit = max(1, chunk_length(split.shape, EVALUATION_BATCH * samples) // samples)
    size = max(1, chunk_length(split.shape) // limit) * limit
    with evaluation_mode(model), evaluation_mode(objective):
        while True:
            try:
                context = Context(1.0, data_size, Noise(derive_seed(seed, "evaluation"), device))
                batches = shared_batches(split, torch.arange(len(split)), size, device, world=world)
                with full_memory_together(world):
                    sums = sum_losses(model, objective, batches, context)
                return sums.mean(len(split), world)
            except (MemoryError, RuntimeError) as error:
                if size == 1 or not is_memory_full(error):
                    raise
            size //= 2


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model or an objective into evaluation mode, and back into its former mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextmanager
def averaged_weights(state: TrainState) -> Iterator[None]:
    """Put the averages of the weights into the model, and the weights back; if there are any."""
    if state.average is None:
        yield
        return
    own = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    state.model.load_state_dict(state.evaluation_weights())
    try:
        yield
    finally:
        state.model.load_state_dict(own)


def never() -> bool:
    """Do not end the training before its last epoch."""
    return False


def fit(
    state: TrainState,
    train: Split,
    test: Split,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    learning_rate: Schedule,
    warmup: Schedule = no_warmup,
    stop_early: Callable[[], bool] = never,
    report: Callable[[EpochReport], None],
    progress: Progress = ignore_progress,
    world: World = ALONE,
    accumulate: int = 1,
) -> None:
    """Train until `epochs` epochs are complete.

    Args:
        state: where to start; changed in place.
        train: the training set.
        test: the test set.
        epochs: complete epochs since the start of the run.
        batch_size: items per step; the last step of an epoch may have fewer.
        seed: of the run, from which those of the order of the items and of the noise of the
            evaluation are derived.
        learning_rate: a pure function of the step.
        warmup: of the objective, a pure function of the step.
        stop_early: asked before each epoch whether to end the training here; one process's yes is
            enough.
        report: called with the metrics of each epoch.
        progress: called now and then with the number of items trained on since the start, and the
            number for the whole run. The state is then between two steps, and stays so if
            `progress` raises an exception, as it must in all processes together.
        world: the processes that train together. Each has the same arguments, and a state with the
            same tensors.
        accumulate: the pieces in which each process computes its part of a batch, one after
            another, to need less memory; for an objective that does not compare items.

    Raises:
        NonFiniteLossError: a loss in the training is infinite or not a number. One of the test set
            is reported as it is, because a single item of it is enough.

    Example:
        >>> import torch
        >>> from vae_cli.settings import choose, merge
        >>> from vae_cli.data.split import InMemory
        >>> from vae_cli.training import constant
        >>> from vae_cli.data.dataset import Spec
        >>> spec = Spec("digits", (1, 28, 28))
        >>> state = choose(merge(), spec).build_state(spec, torch.device("cpu"))
        >>> images = InMemory.whole(torch.rand(64, 1, 28, 28))
        >>> losses = []
        >>> fit(state, images, images, epochs=2, batch_size=16, seed=0,
        ...     learning_rate=constant(1e-3, 8), report=lambda done: losses.append(done.test.loss))
        >>> losses[1] < losses[0]
        True
    """
    count, steps = len(train), steps_per_epoch(len(train), batch_size)
    epoch = prepare_epoch(state, train, batch_size, world, accumulate)

    def chunk_done(items: int) -> None:
        progress(state.epoch * count + items, epochs * count)

    while state.epoch < epochs and not world.any(stop_early()):
        start, first_step = time.perf_counter(), state.step - state.done
        order = train.order(seed=seed, epoch=state.epoch, batch_size=batch_size)
        rates, warmups = (
            torch.tensor([schedule(first_step + index) for index in range(steps)])
            for schedule in (learning_rate, warmup)
        )
        trained = epoch.run(order, rates, warmups, chunk_done)
        seconds = time.perf_counter() - start
        with averaged_weights(state):
            tested = evaluate(
                state.model, state.objective, test, data_size=count, seed=seed, world=world
            )
        report(EpochReport(state.epoch, trained, tested, seconds))
