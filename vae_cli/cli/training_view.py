"""What the user sees during training: a table with one row per epoch, and a progress bar."""

import math
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

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

from vae_cli.cli.console import Terminal

if TYPE_CHECKING:
    from vae_cli.experiment.resolve import Resolved
    from vae_cli.runs.directory import Run
    from vae_cli.runs.facts import Row
    from vae_cli.training import EpochReport

ENOUGH_STEPS = 500  # with fewer, most networks have learned very little
COLUMN_WIDTHS = (5, 8, 8, 8, 9, 8, 8, 8, 8)
COLLAPSE_PAGE = "docs/figures.md#posterior-collapse"


class Speed(ProgressColumn):
    """Items per second, when the speed is known."""

    def render(self, task: Task) -> Text:
        """The speed of the last moments."""
        return Text(f"{task.speed:,.0f} items/s" if task.speed else "", "cyan")


class TrainingView:
    """The table and the progress bar of one training; without a terminal, only the table."""

    def __init__(self, terminal: Terminal, run: "Run", resolved: "Resolved") -> None:
        from vae_cli.items.choice import kind_of

        self.terminal, self.run, self.resolved = terminal, run, resolved
        self.is_started = False
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
        train, test = report.train, report.test
        losses = (train.kl, train.distortion, train.loss, test.kl, test.distortion, test.loss)
        cells = (*(f"{value:.3f}" for value in losses), f"{test.active}/{len(test.kl_by_dim)}")
        self._print_row((str(report.epoch), *cells, f"{report.seconds:.2f}"))

    def summarize(self, run: "Run", rows: "list[Row]") -> None:
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
        best = min(rows, key=lambda row: row["test_loss"])
        self.terminal.note(f"best test loss {best['test_loss']:.3f}, epoch {best['epoch']}")
        if total >= ENOUGH_STEPS:
            self._comment_on_latents(int(best["active_dims"]), config.model.latent_dim)
        for path in run.previews(self.kind.suffix):
            self.terminal.result(path)
        for command in ("reconstruct", "sample", "traverse --dim all"):
            self.terminal.note(f"try: vae {command} --run {run.name}")

    def _start(self) -> None:
        """Print what is trained, and the head of the table; errors before this stay alone."""
        from vae_cli.device import describe_device

        self.is_started = True
        self.terminal.note(f"{self.run.path}, {describe_device(self.resolved.device)}")
        self.terminal.note(describe(self.resolved))
        distortion = self.kind.distortion_name
        losses = ("KL", distortion, "loss", "test KL", distortion, "loss")
        self._print_row(("epoch", *losses, "active", "seconds"), "bold")
        self.bar.start()

    def _comment_on_latents(self, active: int, latent_dim: int) -> None:
        """A neutral line if some dimensions are active; a warning if none is, or one of many."""
        line = f"{active} of {latent_dim} latent dimensions are active"
        if active == 0 or (active == 1 and latent_dim > 2):  # noqa: PLR2004  one of two is common
            self.terminal.advice(
                f"{line}: try a lower --beta or more --epochs; see {COLLAPSE_PAGE}"
            )
        elif active < latent_dim:
            self.terminal.note(f"{line}; {COLLAPSE_PAGE} explains why")

    def _print_row(self, cells: tuple[str, ...], style: str = "") -> None:
        padded = (cell.rjust(width) for cell, width in zip(cells, COLUMN_WIDTHS, strict=True))
        self.terminal.out.print(Text(" ".join(padded), style))


def describe(resolved: "Resolved") -> str:
    """The data and the size of the network, in one line."""
    from vae_cli.items.choice import kind_of

    spec, size = resolved.spec, resolved.model_size()
    return (
        f"{spec.name}: {len(resolved.train):,} {kind_of(spec).describe()}, "
        f"{len(resolved.test):,} held out; "
        f"{resolved.config.model.network} with {size.parameters:,} parameters, "
        f"{size.multiply_adds / 1e6:,.2f} M multiply-adds per item, "
        f"{size.batch_bytes / 2**20:,.0f} MiB per batch"
    )
