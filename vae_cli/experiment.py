"""One whole training: from settings to a finished run directory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from vae_cli import build, config, images, runs, trained
from vae_cli.checkpoint import Checkpoint
from vae_cli.config import Config
from vae_cli.data import Progress, Spec, Split, gather, moments, table, together
from vae_cli.errors import InterruptedRunError, NonFiniteLossError, VAEError
from vae_cli.files import sweep
from vae_cli.keeper import Interval, Keeper, Row
from vae_cli.model import Moments, Size, measure
from vae_cli.runs import Run
from vae_cli.trained import Trained
from vae_cli.training import EpochReport, TrainState, fit, precision

SHOWN_ROWS = 100  # of the tables of a run of vectors
PREVIEW = 32  # tiles in a run's pictures: images and their reconstructions, twice as many samples


@dataclass(frozen=True)
class Prepared:
    """What is needed to learn, read and checked before a run begins.

    Attributes:
        settings: with the network and the paths that `auto` and relative ones came to.
        spec: what the items are.
        train: what is learned from.
        test: what is held out.
    """

    settings: Config
    spec: Spec
    train: Split
    test: Split

    @property
    def columns(self) -> Moments | None:
        """Of vectors, each column's mean and standard deviation over the training set."""
        return None if self.spec.is_image else moments(self.train)

    def size(self) -> Size:
        """How large the network is."""
        with torch.device("meta"):
            model = build.model(self.settings.model, self.spec.shape)
        return measure(model, self.spec.shape, self.settings.training.batch_size)


def prepare(settings: Config, device: torch.device, progress: Progress) -> Prepared:
    """Read the data, and refuse early what the schema cannot know to be wrong.

    Args:
        settings: as they were typed.
        device: where to learn.
        progress: called with the pictures decoded so far, and all, where some must be decoded.

    Raises:
        UsageError: the data cannot be used, the device lacks the precision, the network does not
            take such items, or an interval is malformed.
        VAEError: a download fails, or the cache cannot be written.
    """
    precision.check(settings.training.precision, device)
    Interval.parse(settings.training.save_every)
    settings = build.located(settings)
    dataset = build.dataset(settings.data, progress)
    settings = build.settle(settings, dataset.spec.shape)
    limit = settings.data.limit or None
    return Prepared(settings, dataset.spec, dataset.train().head(limit), dataset.test().head(limit))


def train(
    run: Run,
    prepared: Prepared,
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
        prepared: the data, and the settings as they should be; `auto` precision is settled here.
        device: where to learn.
        kept: where an earlier training of this run stopped, to go on from.
        report: called with each epoch's averages.
        progress: called with the items trained on since the start, and those of the whole run.
        stopped: the number of the signal that asked to stop, if one did.

    Returns:
        The rows of `metrics.csv`, those of earlier trainings included.

    Raises:
        InterruptedRunError: a signal came; the state was saved first.
        NonFiniteLossError: the loss is not finite; the last finite checkpoints stay.
        VAEError: memory is full, a file cannot be written, or the checkpoint does not fit.
    """
    sweep(run.path)
    spec, counts = prepared.spec, (len(prepared.train), len(prepared.test))
    train_split, test_split = together(prepared.train, prepared.test, device)
    if signal := stopped():
        if kept is None:
            run.discard()
        raise InterruptedRunError("stopped before the first step: nothing was learned yet", signal)
    settings = settle_precision(prepared, train_split)
    state = build.state(settings, spec.shape, device, prepared.columns)
    precision.apply(settings.training.precision, state)
    every = Interval.parse(settings.training.save_every)
    keeper = Keeper(run, settings, spec, counts, state, every)
    if kept:
        keeper.take_up(kept)
        run.reopen()
    run.write_config(settings)

    def between_steps(done: int, total: int) -> None:
        progress(done, total)
        keeper.between_steps(stopped())

    def after_epoch(done: EpochReport) -> None:
        keeper.after_epoch(done)
        report(done)

    with failures(keeper, device):
        learn(state, settings, train_split, test_split, after_epoch, between_steps)
    keeper.save()
    show(run, trained.load(run, device), test_split, settings.training.seed)
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
    train_split: Split,
    test_split: Split,
    report: Callable[[EpochReport], None],
    progress: Callable[[int, int], None],
) -> None:
    """`fit` with a config's numbers."""
    training = settings.training
    steps = -(-len(train_split) // training.batch_size) * training.epochs
    fit(
        state,
        build.objective(settings.objective),
        train_split,
        test_split,
        epochs=training.epochs,
        batch_size=training.batch_size,
        seed=training.seed,
        learning_rate=build.learning_rate(settings.optimizer, steps),
        report=report,
        progress=progress,
    )


def settle_precision(prepared: Prepared, split: Split) -> Config:
    """The settings with `auto` replaced by the precision that suits this network and device.

    Raises:
        UsageError: the device lacks the precision asked for.
    """
    settings, device = prepared.settings, split.items.device

    def wins() -> bool:
        def fresh() -> TrainState:
            return build.state(settings, prepared.spec.shape, device, prepared.columns)

        objective = build.objective(settings.objective)
        return precision.bfloat16_wins(fresh, objective, split, settings.training.batch_size)

    chosen = precision.choose(settings.training.precision, device, wins)
    return config.at_precision(settings, chosen)


def show(run: Run, learned: Trained, test: Split, seed: int) -> None:
    """What a finished run shows: reconstructions of test items, and samples."""
    spec = learned.spec
    if not spec.is_image:
        reconstructions, samples = run.shown(runs.CSV)
        some = gather(test.items, test.rows[:SHOWN_ROWS])
        table.write(reconstructions, spec.columns, learned.reconstruct(some).items)
        table.write(samples, spec.columns, learned.sample(SHOWN_ROWS, seed=seed))
        return
    reconstructions, samples = run.shown(runs.PNG)
    some = gather(test.items, test.rows[:PREVIEW])
    pairs = images.beside(some, learned.reconstruct(some).items)
    images.write_png(images.grid(pairs, columns=8), reconstructions)
    images.write_png(images.grid(learned.sample(2 * PREVIEW, seed=seed), columns=8), samples)
