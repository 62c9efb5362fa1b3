"""What a person sees while a model learns: a bar that moves, and a table that grows by a row."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from vae_cli.cli.console import Terminal

if TYPE_CHECKING:
    from vae_cli.data import Spec
    from vae_cli.experiment import Prepared
    from vae_cli.keeper import Row
    from vae_cli.runs import Run
    from vae_cli.training import EpochReport

FEW = 500  # steps; below them most networks have hardly begun
WIDTHS = (5, 8, 8, 8, 9, 8, 8, 8, 8)


class Speed(ProgressColumn):
    """Items a second, once it is known."""

    def render(self, task: Task) -> Text:
        """The speed of the last moments."""
        return Text(f"{task.speed:,.0f} items/s" if task.speed else "", "cyan")


class TrainingView:
    """The table and the bar of one training; on a pipe, the table's lines alone."""

    def __init__(self, terminal: Terminal, epochs: int, spec: "Spec") -> None:
        self.terminal = terminal
        self.distortion = "MSE" if spec.is_image else "NLL"
        self.epochs = epochs
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            Speed(),
            TimeRemainingColumn(),
            console=terminal.out,
            transient=True,
            refresh_per_second=4,
            disable=not terminal.moves,
        )
        self.task = self.bar.add_task("epoch 1", total=None)

    def __enter__(self) -> Self:
        losses = ("KL", self.distortion, "loss", "test KL", self.distortion, "loss")
        self._line(("epoch", *losses, "active", "seconds"), "bold")
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def progress(self, done: int, total: int) -> None:
        """Move the bar to so many items of the whole run's."""
        self.bar.update(self.task, completed=done, total=total)

    def report(self, done: "EpochReport") -> None:
        """Add a row."""
        train, test = done.train, done.test
        losses = (train.kl, train.distortion, train.loss, test.kl, test.distortion, test.loss)
        dims = f"{test.active}/{len(test.kl_by_dim)}"
        row = (str(done.epoch), *(f"{value:.3f}" for value in losses), dims, f"{done.seconds:.2f}")
        self._line(row)
        self.bar.update(self.task, description=f"epoch {min(done.epoch + 1, self.epochs)}")

    def summary(self, run: "Run", rows: "list[Row]", prepared: "Prepared") -> None:
        """What came of it, and what to try next."""
        latent_dim, training = prepared.settings.model.latent_dim, prepared.settings.training
        steps = -(-len(prepared.train) // training.batch_size) * training.epochs
        if steps < FEW and not prepared.settings.data.limit:
            more = max(1, round(training.epochs * FEW / steps))
            self.terminal.advice(f"{steps} steps are few for Adam: try --epochs {more}")
        best = min(rows, key=lambda row: row["test_loss"])
        active = best["active_dims"]
        self.terminal.note(f"best test loss {best['test_loss']:.3f}, epoch {best['epoch']}")
        if 2 * active < latent_dim:
            self.terminal.advice(
                f"{latent_dim - active} of {latent_dim} latent dimensions are silent: "
                f"a lower --beta wakes them, or --latent-dim {max(1, active)} is enough"
            )
        for path in run.shown(".png" if prepared.spec.is_image else ".csv"):
            self.terminal.result(path)
        for verb in ("reconstruct", "sample", "traverse --dim all"):
            self.terminal.note(f"try: vae {verb} --run {run.name}")

    def _line(self, cells: tuple[str, ...], style: str = "") -> None:
        text = " ".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True))
        self.terminal.out.print(Text(text, style))
