"""The test set, and the loop over epochs.

Losses are in nats, summed over an item and averaged over items. Nothing is read from the device
inside an epoch: totals accumulate there and are read once, at its end.
"""

import math
import time
from collections.abc import Callable

import torch
from torch import Generator

from vae_cli.data import Split, at_once, permutation
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import Model
from vae_cli.objectives import Objective
from vae_cli.training.epoch import chunks
from vae_cli.training.graph import prepare
from vae_cli.training.metrics import EpochReport, Metrics, Totals
from vae_cli.training.schedules import Schedule
from vae_cli.training.state import TrainState


@torch.no_grad()
def evaluate(model: Model, objective: Objective, split: Split, *, seed: int) -> Metrics:
    """The averages over all items of a split, with one posterior sample an item.

    The noise is the same in every call with the same seed, so that epochs can be compared.
    """
    generator = Generator(split.items.device).manual_seed(seed)
    totals = Totals()
    for x in chunks(split.items, split.rows, at_once(split.items.shape[1:], 1000)):
        totals.add(objective(x, model(x, generator)))
    return totals.mean()


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


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
    progress: Callable[[int, int], None] = _silent,
) -> None:
    """Train until `epochs` epochs are done.

    Args:
        state: where to start; changed in place.
        objective: what is minimised.
        train: what is learned from, on the model's device.
        test: what is never trained on, on the model's device.
        epochs: whole epochs since the start of the run.
        batch_size: items a step; the last step of an epoch may have fewer.
        seed: of the order of the items and of the noise of the evaluation.
        learning_rate: a pure function of the step.
        report: called with each epoch's averages.
        progress: called now and then with the items trained on since the start, and those of the
            whole run; the state is then between two steps, and an exception leaves it so.

    Raises:
        NonFiniteLossError: a loss is infinite or not a number.
    """
    count, steps = len(train), -(-len(train) // batch_size)
    epoch = prepare(state, objective, train, batch_size)

    def chunk_done(images: int) -> None:
        progress(state.epoch * count + images, epochs * count)

    while state.epoch < epochs:
        start, first = time.perf_counter(), state.step - state.done
        order = permutation(count, seed=seed, epoch=state.epoch, device=train.items.device)
        rates = torch.tensor([learning_rate(first + index) for index in range(steps)])
        trained = epoch.run(order, rates, chunk_done)
        seconds = time.perf_counter() - start
        tested = evaluate(state.model, objective, test, seed=seed)
        if not math.isfinite(tested.loss):
            raise NonFiniteLossError(
                f"the test loss is not finite after epoch {state.epoch}: "
                "try a lower --learning-rate"
            )
        report(EpochReport(state.epoch, trained, tested, seconds))
