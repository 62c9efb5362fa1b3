"""The loop over epochs, and the evaluation on the test set.

Losses are in nats, summed over an item and averaged over items. Nothing is read from the device
inside an epoch: the totals accumulate there and are read once, at the end.
"""

import math
import time
import warnings
from collections.abc import Callable

import torch
from torch import Generator

from vae_cli.data.batches import chunk_length, permutation, steps_per_epoch
from vae_cli.data.dataset import Progress, Split, ignore_progress
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import Model, Objective
from vae_cli.training.captured import CapturedEpoch
from vae_cli.training.epoch import Epoch, TracedEpoch
from vae_cli.training.metrics import EpochReport, Metrics, Totals
from vae_cli.training.schedules import Schedule
from vae_cli.training.state import TrainState
from vae_cli.training.step import Reduce, identity

EVALUATION_BATCH = 1000  # items


@torch.no_grad()
def evaluate(model: Model, objective: Objective, split: Split, *, seed: int) -> Metrics:
    """The averages over all items of a split, with one posterior sample per item.

    The noise is the same in every call with the same seed, so that epochs can be compared.
    """
    generator = Generator(split.items.device).manual_seed(seed)
    totals = Totals()
    batch_size = chunk_length(split.items.shape[1:], EVALUATION_BATCH)
    for x in split.chunks(split.rows, batch_size):
        totals.add(objective(x, model(x, generator)))
        totals.count += len(x)
    return totals.mean()


def prepare_epoch(
    state: TrainState,
    objective: Objective,
    split: Split,
    batch_size: int,
    reduce: Reduce = identity,
) -> Epoch:
    """The fastest kind of epoch for a split: captured on CUDA if that is possible, else traced."""
    if split.items.is_cuda and len(split) >= batch_size:
        epoch = CapturedEpoch(state, objective, split, batch_size, reduce)
        try:
            epoch.capture()
        except RuntimeError as error:
            warnings.warn(f"training goes on without a CUDA graph: {error}", stacklevel=2)
        else:
            return epoch
    return TracedEpoch(state, objective, split, batch_size, reduce)


def fit(
    state: TrainState,
    objective: Objective,
    train: Split,
    test: Split,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    learning_rate: Schedule,
    report: Callable[[EpochReport], None],
    progress: Progress = ignore_progress,
    reduce: Reduce = identity,
) -> None:
    """Train until `epochs` epochs are complete.

    Args:
        state: where to start; changed in place.
        objective: what is minimized.
        train: the training set, on the model's device.
        test: the test set, on the model's device.
        epochs: complete epochs since the start of the run.
        batch_size: items per step; the last step of an epoch may have fewer.
        seed: of the order of the items, and of the noise of the evaluation.
        learning_rate: a pure function of the step.
        report: called with the metrics of each epoch.
        progress: called now and then with the number of items trained on since the start, and the
            number for the whole run. The state is then between two steps, and stays so if
            `progress` raises an exception.
        reduce: combines the gradients and the totals of several processes.

    Raises:
        NonFiniteLossError: a loss is infinite or not a number.

    Example:
        >>> import torch
        >>> from vae_cli.config import merge
        >>> from vae_cli.build import build_state
        >>> from vae_cli.data.dataset import Split
        >>> from vae_cli.model import NegativeELBO
        >>> from vae_cli.training import constant
        >>> state = build_state(merge(), (1, 28, 28), torch.device("cpu"))
        >>> images = Split.whole(torch.rand(64, 1, 28, 28))
        >>> losses = []
        >>> fit(state, NegativeELBO(), images, images, epochs=2, batch_size=16, seed=0,
        ...     learning_rate=constant(1e-3, 8), report=lambda done: losses.append(done.test.loss))
        >>> losses[1] < losses[0]
        True
    """
    count, steps = len(train), steps_per_epoch(len(train), batch_size)
    epoch = prepare_epoch(state, objective, train, batch_size, reduce)

    def chunk_done(items: int) -> None:
        progress(state.epoch * count + items, epochs * count)

    while state.epoch < epochs:
        start, first_step = time.perf_counter(), state.step - state.done
        order = permutation(count, seed=seed, epoch=state.epoch, device=train.items.device)
        rates = torch.tensor([learning_rate(first_step + index) for index in range(steps)])
        trained = epoch.run(order, rates, chunk_done)
        seconds = time.perf_counter() - start
        tested = evaluate(state.model, objective, test, seed=seed)
        if not math.isfinite(tested.loss):
            raise NonFiniteLossError(
                f"the test loss is not finite after epoch {state.epoch}: "
                "try a lower --learning-rate"
            )
        report(EpochReport(state.epoch, trained, tested, seconds))
