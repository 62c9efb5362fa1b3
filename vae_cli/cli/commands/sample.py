"""`vae sample`."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import RunGroup, choose_seed
from vae_cli.cli._options import (
    Columns,
    Noise,
    QuietTerminal,
    Seed,
    refuse_unused,
)
from vae_cli.cli._parsing import parse_where
from vae_cli.cli._pictures import AnimatedOutput
from vae_cli.cli._signals import StopSignals
from vae_cli.errors import UsageError
from vae_cli.files import Output
from vae_cli.rendering.suffixes import ANIMATION_SUFFIXES

if TYPE_CHECKING:
    from vae_cli.api.arrays import Array
    from vae_cli.api.evaluation import Sampler
    from vae_cli.api.model import TrainedModel
    from vae_cli.data.conditions import Where
    from vae_cli.rendering.grid import Layout

FRAMES_PER_SAMPLE = 8  # from one sample to the next


def command(
    *,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            "-n",
            min=1,
            max=1_000_000,
            help="Number of items. [default: 64; 16 for an animation]",
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            min=0,
            max=100,
            help="Factor for the spread of the latents: below 1 items are more typical, above 1 "
            "more varied.",
        ),
    ] = 1.0,
    sampler: Annotated[
        Literal["auto", "prior", "gmm", "flow"],
        typer.Option(
            help="Source of the latents: the prior, or what is fitted to the training set and kept "
            "in the run: gmm is a mixture of normal distributions, flow a network that carries "
            "noise to latents; auto is flow for tables and prior for images.",
        ),
    ] = "auto",
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Only rows of a table like this, as in sex=F, age=30..40 or cut=Good,Fair; "
            "others are drawn and rejected.",
        ),
    ] = None,
    ids: Annotated[
        bool,
        typer.Option("--ids", help="Number the rows in the column that the table has for it."),
    ] = False,
    noise: Noise = False,
    seed: Seed = None,
    run: RunGroup,
    data: Annotated[
        str | None,
        typer.Option(
            help="Where the training set is now, if a sampler is fitted to it. "
            "[default: the data of the run]",
            rich_help_panel="Model",
        ),
    ] = None,
    output: AnimatedOutput,
    columns: Columns = 8,
    terminal: QuietTerminal,
) -> None:
    """Generate images, or rows of a table.

    Example: `vae sample -n 64 --seed 7`, `vae sample -n 8 -o sample.gif` for an animation, or
    `vae sample -n 10000 --where sex=F --where age=30..40 -o new.csv`
    """
    wanted = output.request(terminal, [data])
    model = run.open(terminal, data, outputs=[wanted])
    path = wanted.open_items(model.kind, "sample")
    seed, layout = choose_seed(seed, terminal), output.lay_out(columns)
    if path.suffix.lower() in ANIMATION_SUFFIXES:
        refuse_unused("--noise", noise, "write a picture")
        refuse_unused("--where", bool(where), "write a table")
        refuse_unused("--ids", ids, "write a table")
        model = fit_sampler(model, sampler, data, terminal)
        with terminal.spinner("decoding"):
            animate(model, path, count or 16, temperature, seed, layout)
        terminal.result(path)
        return
    count, writer = count or 64, model.kind.writer(layout)
    writer.require_writable(count, path)
    texts = number_rows(model, count) if ids else {}
    conditions = parse_where(where or [], model.spec.column_names)
    model = fit_sampler(model, sampler, data, terminal)
    if conditions:
        items = sample_where(model, count, conditions, terminal, temperature=temperature, seed=seed)
    else:
        with terminal.spinner("decoding"):
            items = model.sample(count, temperature=temperature, noise=noise, seed=seed)
    writer.write(items, path, texts)
    terminal.result(path)


def fit_sampler(
    model: "TrainedModel", sampler: "Sampler", data: str | None, terminal: Terminal
) -> "TrainedModel":
    """The same model with the sampler, which is fitted if it is not there yet.

    Raises:
        InterruptedRunError: there was a signal during a fit; what was fitted so far is kept.
        UsageError: it cannot be fitted.
    """
    from vae_cli.api.evaluation import default_sampler, with_sampler

    chosen = default_sampler(model) if sampler == "auto" else sampler
    refuse_unused("--data", data is not None and chosen == "prior", "choose --sampler gmm or flow")
    with StopSignals() as signals:
        return with_sampler(model, sampler, signals.raise_in(terminal.bar))


def number_rows(model: "TrainedModel", count: int) -> dict[str, list[str]]:
    """New running numbers, under the title of the column of the table that tells rows apart.

    Raises:
        UsageError: there is no such column.
    """
    title = model.spec.table.id
    if not title:
        raise UsageError(f"--ids: {model.spec.name} has no column of ids, so leave it out")
    return {title: [str(number) for number in range(1, count + 1)]}


def sample_where(
    model: "TrainedModel",
    count: int,
    where: "Where",
    terminal: Terminal,
    *,
    temperature: float,
    seed: int,
) -> "Array":
    """Draw rows until enough meet the conditions, and say which share of the draws did.

    Raises:
        UsageError: a condition is not possible, or hardly any draw meets it.
    """
    with terminal.bar("drawing") as bar:
        found = model.sample_where(count, where, temperature=temperature, seed=seed, progress=bar)
    terminal.remark(f"{100 * found.rate:.3g} % of {found.draws:,} draws meet the conditions")
    return found.items.numpy()


def animate(
    model: "TrainedModel",
    path: Output,
    count: int,
    temperature: float,
    seed: int,
    layout: "Layout",
) -> None:
    """Write an animation in which each sample turns into the next, and the last into the first.

    Raises:
        UsageError: the animation would be too large.
        VAEError: the file cannot be written.
    """
    from vae_cli.rendering.animation import require_size, write_animation

    shape = (1, *model.spec.shape)
    require_size(count * FRAMES_PER_SAMPLE, shape, layout)
    frames = model.sample_loop(count, FRAMES_PER_SAMPLE, temperature=temperature, seed=seed)
    write_animation(frames[:, None], path, layout)
