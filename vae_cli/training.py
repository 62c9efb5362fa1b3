"""How it learns: one step, one epoch, the test set, and the loop around them.

Losses are in nats, summed over an image and averaged over images. Nothing is read from the device
inside an epoch: totals accumulate there and are read once, at its end.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from vae_cli.adam import Adam
from vae_cli.data import gather, permutation
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import Model
from vae_cli.objectives import Loss, Objective

CHUNK = 8192  # images gathered at a time: few enough to stay small, enough to cost nothing
ACTIVE = 0.01  # nats; a latent dimension that tells less than this about an image is silent


@dataclass
class TrainState:
    """Everything that changes while learning, and nothing that does not.

    Attributes:
        model: the parameters.
        optimizer: the moments of their gradients.
        generator: where the posterior samples come from, on the model's device.
        step: steps done since the start.
        epoch: whole epochs done since the start.
    """

    model: nn.Module
    optimizer: Adam
    generator: Generator
    step: int = 0
    epoch: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """All of it as named tensors; a model's best weights travel with their own moments."""
        return {
            **{f"model.{name}": tensor for name, tensor in self.model.state_dict().items()},
            **{f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()},
            "generator": self.generator.get_state(),
        }


@dataclass(frozen=True)
class Metrics:
    """Averages over images.

    Attributes:
        loss: distortion + β KL.
        distortion: the sum of an image's squared errors.
        kl: nats, not weighted by β, summed over dimensions.
        kl_by_dim: the same by dimension, `(D,)`, on the CPU.
    """

    loss: float
    distortion: float
    kl: float
    kl_by_dim: Tensor

    @property
    def active(self) -> int:
        """How many latent dimensions say something about an image."""
        return int((self.kl_by_dim > ACTIVE).sum())


@dataclass(frozen=True)
class EpochReport:
    """What is known at the end of an epoch; `seconds` is the training part of it."""

    epoch: int
    train: Metrics
    test: Metrics
    seconds: float


class Totals:
    """Sums over images, kept on the device until they are asked for."""

    def __init__(self) -> None:
        self.count = 0
        self.loss: Tensor | float = 0.0
        self.distortion: Tensor | float = 0.0
        self.kl: Tensor | float = 0.0

    def add(self, loss: Loss) -> None:
        """Count a batch by its images, so that a short last batch weighs no more than it should."""
        self.count += len(loss.distortion)
        self.loss += loss.loss.detach() * len(loss.distortion)
        self.distortion += loss.distortion.sum()
        self.kl += loss.kl.sum(0)

    def mean(self) -> Metrics:
        """The averages; waits for the device."""
        kl = torch.as_tensor(self.kl).cpu() / self.count
        return Metrics(
            float(self.loss) / self.count, float(self.distortion) / self.count, float(kl.sum()), kl
        )


def train_step(state: TrainState, objective: Objective, x: Tensor, learning_rate: float) -> Loss:
    """One step down the gradient of a batch `(B, C, H, W)` with pixels in [0, 1]."""
    loss = objective(x, state.model(x, state.generator))
    gradients = torch.autograd.grad(loss.loss, list(state.optimizer.parameters.values()))
    state.optimizer.step(gradients, learning_rate)
    state.step += 1
    return loss


def train_epoch(
    state: TrainState,
    objective: Objective,
    images: Tensor,
    *,
    batch_size: int,
    seed: int,
    learning_rate: Callable[[int], float],
    progress: Callable[[int], None],
) -> Metrics:
    """Visit every image of `(N, C, H, W)` uint8 once, in an order drawn from seed and epoch."""
    state.model.train()
    totals = Totals()
    order = permutation(len(images), seed=seed, epoch=state.epoch)
    for chunk in _chunks(images, order.to(images.device), batch_size):
        for x in chunk.split(batch_size):
            totals.add(train_step(state, objective, x, learning_rate(state.step)))
        progress(totals.count)
    return totals.mean()


@torch.no_grad()
def evaluate(model: Model, objective: Objective, images: Tensor, *, seed: int) -> Metrics:
    """The averages over all of `(N, C, H, W)` uint8, with one posterior sample an image.

    The noise is the same in every call with the same seed, so that epochs can be compared.
    """
    generator = Generator(images.device).manual_seed(seed)
    totals = Totals()
    for x in _chunks(images, torch.arange(len(images), device=images.device), 1000):
        totals.add(objective(x, model(x, generator)))
    return totals.mean()


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def fit(
    state: TrainState,
    objective: Objective,
    train: Tensor,
    test: Tensor,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    learning_rate: Callable[[int], float],
    report: Callable[[EpochReport], None],
    progress: Callable[[int, int], None] = _silent,
) -> None:
    """Train until `epochs` epochs are done.

    Args:
        state: where to start; changed in place.
        objective: what is minimised.
        train: uint8 `(N, C, H, W)` on the model's device.
        test: uint8 `(M, C, H, W)` on the model's device, never trained on.
        epochs: whole epochs since the start of the run.
        batch_size: images a step; the last step of an epoch may have fewer.
        seed: of the order of the images and of the noise of the evaluation.
        learning_rate: a pure function of the step.
        report: called with each epoch's averages.
        progress: called with the images trained on since the start, and those of the whole run.

    Raises:
        NonFiniteLossError: the loss of an epoch is infinite or not a number.
    """
    while state.epoch < epochs:
        start = time.perf_counter()
        trained = train_epoch(
            state,
            objective,
            train,
            batch_size=batch_size,
            seed=seed,
            learning_rate=learning_rate,
            progress=lambda done: progress(state.epoch * len(train) + done, epochs * len(train)),
        )
        seconds = time.perf_counter() - start
        tested = evaluate(state.model, objective, test, seed=seed)
        state.epoch += 1
        if not math.isfinite(trained.loss + tested.loss):
            raise NonFiniteLossError(
                f"the loss is not finite in epoch {state.epoch}: try a lower --learning-rate"
            )
        report(EpochReport(state.epoch, trained, tested, seconds))


def constant(peak: float, total_steps: int, warmup: float = 0.0) -> Callable[[int], float]:
    """A learning rate that rises over a share `warmup` of all steps, then stays at `peak`."""
    return lambda step: peak * _rise(step, total_steps, warmup)


def cosine(peak: float, total_steps: int, warmup: float = 0.0) -> Callable[[int], float]:
    """The same rise under half a cosine from `peak` down to 0 (Loshchilov & Hutter, 2017)."""

    def learning_rate(step: int) -> float:
        fall = 0.5 * (1 + math.cos(math.pi * step / total_steps))
        return peak * fall * _rise(step, total_steps, warmup)

    return learning_rate


def _rise(step: int, total_steps: int, warmup: float) -> float:
    return min(1.0, (step + 1) / max(1.0, warmup * total_steps))


def _chunks(images: Tensor, order: Tensor, batch_size: int) -> Iterator[Tensor]:
    """The images in that order, a whole number of batches at a time."""
    size = max(1, CHUNK // batch_size) * batch_size
    for indices in order.split(size):
        yield gather(images, indices)
