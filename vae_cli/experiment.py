"""One whole training: from settings to a finished run directory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor

from vae_cli import build, config, images, latent, runs
from vae_cli.checkpoint import Checkpoint
from vae_cli.config import Config
from vae_cli.data import unit_interval
from vae_cli.errors import InterruptedRunError, NonFiniteLossError, VAEError
from vae_cli.files import sweep
from vae_cli.keeper import Interval, Keeper, Row
from vae_cli.runs import Run, Trained
from vae_cli.training import EpochReport, TrainState, fit, precision

PREVIEW = 32  # tiles in a run's pictures: images and their reconstructions, twice as many samples


def check(settings: Config, device: torch.device) -> None:
    """Refuse early what the schema cannot know to be wrong.

    Raises:
        UsageError: the device lacks the precision, or an interval is malformed.
    """
    precision.check(settings.training.precision, device)
    Interval.parse(settings.training.save_every)


def train(
    run: Run,
    settings: Config,
    device: torch.device,
    *,
    kept: Checkpoint | None = None,
    report: Callable[[EpochReport], None],
    progress: Callable[[int, int], None],
    stopped: Callable[[], int | None],
) -> list[Row]:
    """Train as the settings say, and leave everything in the run's directory.

    Args:
        run: where it is kept.
        settings: as they should be; `auto` is settled here.
        device: where to learn.
        kept: where an earlier training of this run stopped, to go on from.
        report: called with each epoch's averages.
        progress: called with the images trained on since the start, and those of the whole run.
        stopped: the number of the signal that asked to stop, if one did.

    Returns:
        The rows of `metrics.csv`, those of earlier trainings included.

    Raises:
        InterruptedRunError: a signal came; the state was saved first.
        NonFiniteLossError: the loss is not finite; the last finite checkpoints stay.
        VAEError: memory is full, a file cannot be written, or the checkpoint does not fit.
    """
    sweep(run.path)
    dataset = build.dataset(settings.data.name)
    limit = settings.data.limit or None
    train_images = dataset.train().images[:limit].to(device)
    test_images = dataset.test().images[:limit].to(device)
    if signal := stopped():
        raise InterruptedRunError("stopped before the first step: nothing was learned yet", signal)
    settings = settle_precision(settings, train_images)
    run.write_config(settings)
    state = build.state(settings, dataset.shape, device)
    precision.apply(settings.training.precision, state)
    keeper = Keeper(run, settings, state, Interval.parse(settings.training.save_every))
    if kept:
        keeper.take_up(kept)
        run.pictures[-1].unlink(missing_ok=True)  # the run is not finished any more

    def between_steps(done: int, total: int) -> None:
        progress(done, total)
        keeper.between_steps(stopped())

    def after_epoch(done: EpochReport) -> None:
        keeper.after_epoch(done)
        report(done)

    with failures(keeper, device):
        learn(state, settings, train_images, test_images, after_epoch, between_steps)
    keeper.save()
    draw(run, runs.load(run, device), test_images, settings.training.seed)
    if signal := stopped():
        raise InterruptedRunError(f"stopped, but run {run.name} is finished", signal)
    return keeper.rows


@contextmanager
def failures(keeper: Keeper, device: torch.device) -> Iterator[None]:
    """Keep the best weights when learning fails, and say what to do when memory is full."""
    try:
        yield
    except NonFiniteLossError:
        keeper.save_best()  # the state itself is of no use any more
        raise
    except (MemoryError, RuntimeError) as error:  # torch's own OutOfMemoryError is a RuntimeError
        if not is_memory_full(error):
            raise
        batch_size = keeper.settings.training.batch_size
        raise VAEError(out_of_memory(batch_size, device)) from error


def is_memory_full(error: Exception) -> bool:
    """Whether an error says that memory is full; on the processor only its text does."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error)


def out_of_memory(batch_size: int, device: torch.device) -> str:
    """What to try when memory is full."""
    if batch_size == 1:
        return f"out of memory on {device.type} with one image a step: try a smaller --hidden"
    return (
        f"out of memory on {device.type} at --batch-size {batch_size}: "
        f"try --batch-size {batch_size // 2}"
    )


def learn(
    state: TrainState,
    settings: Config,
    train_images: Tensor,
    test_images: Tensor,
    report: Callable[[EpochReport], None],
    progress: Callable[[int, int], None],
) -> None:
    """`fit` with a config's numbers."""
    training = settings.training
    steps = -(-len(train_images) // training.batch_size) * training.epochs
    fit(
        state,
        build.objective(settings.objective),
        train_images,
        test_images,
        epochs=training.epochs,
        batch_size=training.batch_size,
        seed=training.seed,
        learning_rate=build.learning_rate(settings.optimizer, steps),
        report=report,
        progress=progress,
    )


def settle_precision(settings: Config, images: Tensor) -> Config:
    """The settings with `auto` replaced by the precision that suits this network and device.

    Raises:
        UsageError: the device lacks the precision asked for.
    """

    def measure() -> bool:
        def fresh() -> TrainState:
            return build.state(settings, images.shape[1:], images.device)

        objective = build.objective(settings.objective)
        return precision.bfloat16_wins(fresh, objective, images, settings.training.batch_size)

    chosen = precision.choose(settings.training.precision, images.device, measure)
    return config.at_precision(settings, chosen)


def draw(run: Run, trained: Trained, test_images: Tensor, seed: int) -> None:
    """The two pictures of a finished run."""
    model = trained.model
    x = unit_interval(test_images[:PREVIEW])
    pairs = images.beside(x, latent.reconstruct(model, x).images)
    images.write_png(images.grid(pairs, columns=8), run.pictures[0])
    generator = Generator(model.device).manual_seed(seed)
    samples = latent.sample(model, 2 * PREVIEW, generator=generator)
    images.write_png(images.grid(samples, columns=8), run.pictures[1])
