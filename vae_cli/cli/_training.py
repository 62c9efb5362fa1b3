"""What `vae train` shows: a table with one row per epoch, and a progress bar.

With `--dry-run`: the data, the network, and the time that the training will take.
"""

import math
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from vae_cli.cli._console import Terminal, as_text
from vae_cli.errors import plural
from vae_cli.settings import Config, to_dict
from vae_cli.threads import watch_cores

if TYPE_CHECKING:
    from vae_cli.runs.directory import Run
    from vae_cli.runs.facts import Row
    from vae_cli.runs.previews import Errors
    from vae_cli.runs.resolve import Resolved
    from vae_cli.runs.train import Estimate
    from vae_cli.training import EpochReport, Metrics

MAX_ABBREVIATION = 4  # letters of the longest
ENOUGH_STEPS = 500  # with fewer, most networks have learned very little
TABLE_WIDTH, EPOCH_WIDTH, FIGURE_WIDTH = 80, 5, 8  # characters
CODES_WIDTH = 10  # characters, of the two columns about codes
HELD_OUT = {"test": "test", "validation": "valid"}  # as the title of a column begins
SHARED_CORES = "other programs use the processor too, so an epoch takes longer"
CORES_PAGE = "docs/speed.md#if-training-is-slow"
COLLAPSE_PAGE = "docs/figures.md#posterior-collapse"


class Speed(ProgressColumn):
    """Items per second, when the speed is known."""

    def render(self, task: Task) -> Text:
        """The speed of the last moments."""
        return Text(f"{task.speed:,.0f} items/s" if task.speed else "", "cyan")


class TrainingView:
    """The table and the progress bar of one training; without a terminal, only the table."""

    def __init__(self, terminal: Terminal, run: "Run", resolved: "Resolved") -> None:
        from vae_cli.rendering import kind_of

        self.terminal, self.run, self.resolved = terminal, run, resolved
        self.is_started = self.is_told_of_cores = False
        self.train_figures: tuple[str, ...] | None = None
        self.kind = kind_of(resolved.spec)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            Speed(),
            TimeRemainingColumn(),
            console=terminal.out,
            transient=True,
            refresh_per_second=4,
            disable=not terminal.can_overwrite,
        )
        self.task = self.bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # the terminal may be gone; the training is saved
            self.bar.stop()

    def progress(self, done: int, total: int) -> None:
        """Move the bar: so many items of the whole run are done."""
        if not self.is_started:
            self._start()
        epochs = self.resolved.config.training.epochs
        epoch = min(done // len(self.resolved.train) + 1, epochs)
        label = f"epoch {epoch} of {epochs}"
        self.bar.update(self.task, completed=done, total=total, description=label)

    def report(self, report: "EpochReport") -> None:
        """Add a row."""
        train, test = ({**part.terms, "loss": part.loss} for part in (report.train, report.test))
        latents = describe_latents(report.test)
        if self.train_figures is None:
            width = sum(1 + max(len(title), FIGURE_WIDTH) for title in latents)
            self.train_figures = choose_train_figures(tuple(test), width)
            self._print_head(self.train_figures, tuple(test), list(latents))
        figures = [*(train[name] for name in self.train_figures), *test.values()]
        cells = (*map(format_figure, figures), *latents.values(), f"{report.seconds:.2f}")
        self._print_row(str(report.epoch), cells)
        self._comment_on_cores()

    def summarize(self, run: "Run", rows: "list[Row]", errors: "Errors | None" = None) -> None:
        """Print the best result, the files, and what to try next."""
        from vae_cli.data.batches import steps_per_epoch

        config = self.resolved.config
        training = config.training
        steps = steps_per_epoch(len(self.resolved.train), training.batch_size)
        total = steps * training.epochs
        if total < ENOUGH_STEPS and not config.data.limit:
            few = "1 step is too few" if total == 1 else f"{total} steps are few"
            more = math.ceil(ENOUGH_STEPS / steps)
            self.terminal.advice(f"{few} for Adam: try --epochs {more}")
        part, by_elbo = self.resolved.held_out_name, training.best == "elbo"
        figure, sign = (f"{part}_elbo", -1) if by_elbo else (f"{part}_loss", 1)
        finite = [row for row in rows if math.isfinite(row[figure])]
        best = min(finite, key=lambda row: sign * row[figure], default=rows[-1])
        if finite:  # if not, a warning has said so
            title = f"{part} {'ELBO' if by_elbo else 'loss'}"
            self.terminal.note(f"best {title} {best[figure]:.3f}, epoch {best['epoch']}")
        active = int(best["active_dims"]) if "active_dims" in best else None
        if active is not None and (total >= ENOUGH_STEPS or active == 0):
            has_levels = config.model.has_levels
            line = describe_active(active, config.model.latent_dim, has_levels)
            self._comment_on_latents(line, active, config.model.latent_dim)
        if "codes_used" in best:
            self._comment_on_codes(int(best["codes_used"]))
        if active != 0 and errors and errors.is_worse:
            self.terminal.advice(
                "reconstructions are worse than the mean item: their squared error is "
                f"{errors.reconstruction:.3f}, and that of the mean item {errors.mean_item:.3f}: "
                "try a lower --learning-rate or more --epochs"
            )
        for path in () if run.no_previews.is_file() else run.previews(self.kind.suffix):
            self.terminal.result(path)
        has_vectors = config.posterior.kind != "codes" and not config.model.is_grid
        last = "traverse --dim all" if has_vectors else "embed"
        for command in ("reconstruct", "sample", last):
            self.terminal.note(f"try: vae {command} --run {run.name}")

    def _start(self) -> None:
        """Print what is trained; errors before this stay alone."""
        from vae_cli.device import describe_device

        self.is_started = True
        self.terminal.note(f"{self.run.path}, {describe_device(self.resolved.device)}")
        self.terminal.note(describe(self.resolved))
        self.bar.start()

    def _print_head(
        self, train: tuple[str, ...], test: tuple[str, ...], latents: list[str]
    ) -> None:
        first, *rest = map(title_of, test)
        titles = (*map(title_of, train), f"{HELD_OUT[self.resolved.held_out_name]} {first}", *rest)
        self._print_row("epoch", (*titles, *latents, "seconds"), "bold")

    def _comment_on_cores(self) -> None:
        """Say once that other programs make the epochs longer."""
        watch = watch_cores() if self.resolved.device.type == "cpu" else None
        if watch and watch.was_shared and not self.is_told_of_cores:
            self.is_told_of_cores = True
            self.terminal.note(f"{SHARED_CORES}; see {CORES_PAGE}")

    def _comment_on_latents(self, line: str, active: int, latent_dim: int) -> None:
        """A neutral line if some dimensions are active; a warning if none is, or one of many."""
        if active == 0 or (active == 1 and latent_dim > 2):  # noqa: PLR2004  one of two is common
            self.terminal.advice(
                f"{line}: try a lower --beta or more --epochs; see {COLLAPSE_PAGE}"
            )
        elif active < latent_dim:
            self.terminal.note(f"{line}; {COLLAPSE_PAGE} explains why")

    def _comment_on_codes(self, used: int) -> None:
        """A warning if all latents have the same code; a neutral line otherwise."""
        if used == 1:
            self.terminal.advice("all latents have the same code: try a lower --learning-rate")
        else:
            self.terminal.note(f"{used:,} codes are used")

    def _print_row(self, epoch: str, cells: tuple[str, ...], style: str = "") -> None:
        train = len(self.train_figures or ())
        widths = (FIGURE_WIDTH + (index == train) for index in range(len(cells)))
        padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        self.terminal.out.print(as_text(" ".join((epoch.rjust(EPOCH_WIDTH), *padded)), style))


def describe_latents(metrics: "Metrics") -> dict[str, str]:
    """What is said of the latents after an epoch, by the title of a column."""
    if metrics.codes is not None:
        values = {"codes": str(metrics.codes), "perplexity": f"{metrics.codes.perplexity:.1f}"}
        return {title.rjust(CODES_WIDTH): one.rjust(CODES_WIDTH) for title, one in values.items()}
    if metrics.kl_by_dim is not None:
        return {"active": f"{metrics.active}/{len(metrics.kl_by_dim)}"}
    return {}


def describe_active(active: int, latent_dim: int, has_levels: bool) -> str:
    """How many dimensions are active; with several levels of latents, those of the top one."""
    level = " of the top level" if has_levels else ""
    return f"{active} of {latent_dim} latent dimensions{level} are active"


def choose_train_figures(names: tuple[str, ...], latents: int) -> tuple[str, ...]:
    """The figures of the training set that leave room for all figures of the held-out items.

    Args:
        names: of all figures.
        latents: the width of the columns about the latents.
    """
    figures = (TABLE_WIDTH - EPOCH_WIDTH - latents) // (FIGURE_WIDTH + 1)
    room = figures - len(names) - len(("seconds",))
    return next(some for some in (names, ("loss",), ()) if len(some) <= max(room, 0))


def format_figure(value: float) -> str:
    """A figure with three decimals, or with an exponent if the column is too narrow for it."""
    text = f"{value:.3f}"
    return text if len(text) <= FIGURE_WIDTH else f"{value:.2e}"


def title_of(name: str) -> str:
    """The title of a figure's column: short terms are abbreviations, as in KL and MSE."""
    return name if name == "loss" or len(name) > MAX_ABBREVIATION else name.upper()


def describe(resolved: "Resolved") -> str:
    """The data and the size of the network, in one line."""
    from vae_cli.rendering import kind_of

    spec, size = resolved.spec, resolved.model_size()
    return (
        f"{spec.name}: {kind_of(spec).describe(len(resolved.train))}, "
        f"{len(resolved.test):,} held out; "
        f"{resolved.config.model.network} with {size.parameters:,} parameters, "
        f"{size.multiply_adds / 1e6:,.2f} M multiply-adds per item, "
        f"{size.batch_bytes / 2**20:,.0f} MiB per batch"
    )


def show_estimate(settings: Config, terminal: Terminal) -> None:
    """Read the data, train for a few steps, and print what the whole training would need.

    Raises:
        UsageError: the data cannot be used, or the settings do not fit the data or the device.
    """
    from vae_cli.device import resolve_device
    from vae_cli.processes import first_place
    from vae_cli.runs.resolve import resolve
    from vae_cli.runs.train import estimate_training

    count = settings.training.processes
    place = first_place(count) if count > 1 else None
    device = resolve_device(settings.training.device, place)
    with terminal.bar("reading") as bar:
        resolved = resolve(settings, device, bar).with_processes(count)
    with terminal.spinner("measuring"):
        estimate = estimate_training(resolved)
    if terminal.wants_json:
        terminal.json(estimate_record(resolved, estimate))
    else:
        terminal.facts(describe_estimate(resolved, estimate))
        if count > 1:
            terminal.note(f"these are of one of {count} processes, without their exchange")
        terminal.note("this was a dry run: no run was made")


def describe_estimate(resolved: "Resolved", estimate: "Estimate") -> dict[str, str]:
    """What a person wants to know before a training, by topic."""
    from vae_cli.device import describe_device
    from vae_cli.rendering import kind_of

    spec, config = resolved.spec, resolved.config
    epochs, memory = config.training.epochs, estimate.parameter_bytes + estimate.batch_bytes
    length = plural(epochs, "epoch")
    counts = f"{len(resolved.train):,} to train on, {len(resolved.test):,} held out"
    return {
        "data": f"{spec.name}, {kind_of(spec).describe()}: {counts}",
        "network": f"{config.model.network}, {estimate.parameters:,} parameters, "
        f"{config.model.latent_dim} latent dimensions",
        "device": f"{describe_device(resolved.device)}, {resolved.precision}",
        "memory": f"about {to_mebibytes(memory)} for a step, "
        f"and {to_mebibytes(estimate.data_bytes)} for the data",
        "steps": f"{estimate.steps:,} in an epoch of about {to_time(estimate.epoch_seconds)}",
        "time": f"about {to_time(epochs * estimate.epoch_seconds)} for {length}, "
        "and the evaluations",
    }


def estimate_record(resolved: "Resolved", estimate: "Estimate") -> dict[str, Any]:
    """The same for JSON; times are in seconds."""
    return {
        "data": resolved.spec.name,
        "shape": list(resolved.spec.shape),
        "train": len(resolved.train),
        "test": len(resolved.test),
        "parameters": estimate.parameters,
        "parameter_bytes": estimate.parameter_bytes,
        "batch_bytes": estimate.batch_bytes,
        "data_bytes": estimate.data_bytes,
        "steps_per_epoch": estimate.steps,
        "seconds_per_step": estimate.step_seconds,
        "seconds_per_epoch": estimate.epoch_seconds,
        "settings": to_dict(resolved.config),
    }


def to_mebibytes(count: int) -> str:
    """A number of bytes for a person."""
    return f"{count / 2**20:,.1f} MiB"


def to_time(seconds: float) -> str:
    """A time for a person: two or three digits in the unit that fits."""
    for unit, length in (("h", 3600), ("min", 60), ("s", 1), ("ms", 0.001)):
        if seconds >= length or unit == "ms":
            break
    count = seconds / length
    return f"{count:,.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"  # noqa: PLR2004
