"""`vae sample`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from vae_cli.cli._conditions import find_told_class, require_told_classes
from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import (
    RunGroup,
    choose_seed,
)
from vae_cli.cli._options import (
    Columns,
    Noise,
    QuietTerminal,
    Seed,
    refuse_unused,
)
from vae_cli.cli._parsing import parse_where
from vae_cli.cli._pictures import AnimatedOutput, ItemsOutput
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
EACH = 8  # samples of each class


def command(
    *,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            "-n",
            min=1,
            max=1_000_000,
            help="Number of items; with --class all, of each class. "
            "[default: 64; 16 for an animation; 8 of each class]",
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
        Literal["auto", "prior", "gmm", "flow", "codes"],
        typer.Option(
            help="Source of the latents: the prior, or what is fitted to the training set and kept "
            "in the run: gmm is a mixture of normal distributions, flow a network that carries "
            "noise to latents, codes a transformer that draws one code after the other; auto is "
            "codes for latents that are codes, else flow for tables and prior for images.",
        ),
    ] = "auto",
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Only items like this, as in sex=F, age=30..40 or cut=Good,Fair. A column of "
            "--condition is told to the model; of others, rows are drawn and rejected.",
        ),
    ] = None,
    class_: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Only items of this class, of a run with --condition label; all is each class in "
            "a row of its own, and (none) is none.",
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

    Example: `vae sample -n 64 --seed 7`, `vae sample --class Bag`, `vae sample -n 8 -o sample.gif`
    for an animation, or `vae sample -n 10000 --where sex=F --where age=30..40 -o new.csv`
    """
    wanted = output.request(terminal, [data])
    model = run.open(terminal, data, outputs=[wanted])
    path = wanted.open_items(model.kind, "sample")
    seed = choose_seed(seed, terminal)
    asked = ask_samples(model, class_, where or [])
    if path.suffix.lower() in ANIMATION_SUFFIXES:
        model.require_vectors("an animation")  # before a prior of codes is fitted
        refuse_unused("--noise", noise, "write a picture")
        refuse_unused("--where", bool(where), "write a picture")
        refuse_unused("--class all", len(asked) > 1, "write a picture")
        refuse_unused("--ids", ids, "write a table")
        model = fit_sampler(model, sampler, data, terminal)
        with terminal.spinner("decoding"):
            animate(
                model, path, count or 16, temperature, seed, output.lay_out(columns), asked[0].y
            )
        terminal.result(path)
        return
    count = count or (EACH if len(asked) > 1 else 64)
    layout = lay_out_samples(asked, count, columns, output)
    writer = model.kind.writer(layout)
    writer.require_writable(count * len(asked), path)
    texts = number_rows(model, count * len(asked)) if ids else {}
    model = fit_sampler(model, sampler, data, terminal)
    items = draw_samples(model, asked, count, terminal, temperature, noise=noise, seed=seed)
    writer.write(items, path, texts)
    terminal.result(path)


class Asked(NamedTuple):
    """What some samples are to be.

    Attributes:
        title: of the class, if each class has a row of its own; else empty.
        where: conditions on columns, those that the model is told among them.
        y: what the model is told instead, as `sample` takes it; None if `where` says it.
    """

    title: str
    where: "Where"
    y: "dict[str, str | None] | None" = None


def ask_samples(model: "TrainedModel", name: str | None, words: Sequence[str]) -> list[Asked]:
    """What is asked for: one kind of samples, or one for each class.

    Raises:
        UsageError: there is no such class or column.
    """
    told = [column.name for column in model.spec.condition]
    where = parse_where(words, [*model.spec.column_names, *told])
    if name is None:
        return [Asked("", where)]
    column = require_told_classes(model, name)
    if column.name in where:
        raise UsageError(f"--class {name} and --where {column.name}: give only one of them")
    if name == "all" and name not in column.categories:
        return [Asked(one, {**where, column.name: [one]}) for one in column.categories]
    told_class = find_told_class(model, name)
    chosen = told_class[column.name]
    if chosen is not None and (where or not model.spec.is_image):
        return [Asked("", {**where, column.name: [chosen]})]
    if others := [one for one in told if one in where]:
        raise UsageError(f"--class {name} and --where {others[0]}: give only one of them")
    return [Asked("", where, told_class)]


def lay_out_samples(
    asked: Sequence[Asked], count: int, columns: int, output: ItemsOutput
) -> "Layout":
    """The layout of samples: each class in a row of its own, with its name, if there are several.

    Raises:
        UsageError: a row would be too long.
    """
    if len(asked) == 1:
        return output.lay_out(columns)
    return output.lay_out(count, has_captions=True, left=[one.title for one in asked])


def draw_samples(
    model: "TrainedModel",
    asked: Sequence[Asked],
    count: int,
    terminal: Terminal,
    temperature: float,
    *,
    noise: bool,
    seed: int,
) -> "Array":
    """The samples of each kind, one kind after another.

    Images of all classes have the same latents, so that a column of a picture differs by its class
    alone; rows of a table are all independent.
    """
    import numpy as np

    found = []
    for number, (_, where, y) in enumerate(asked):
        own = seed if model.spec.is_image else seed + number
        needs_rejection = any(name in model.spec.column_names for name in where)
        if needs_rejection or (where and not model.spec.condition):
            found.append(sample_where(model, count, where, y, terminal, temperature, own))
        else:
            with terminal.spinner("decoding"):
                items = model.sample(
                    count, y, where=where, temperature=temperature, noise=noise, seed=own
                )
            found.append(items)
    return np.concatenate(found)


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
    refuse_unused("--data", data is not None and chosen == "prior", "choose a fitted --sampler")
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
    y: "dict[str, str | None] | None",
    terminal: Terminal,
    temperature: float,
    seed: int,
) -> "Array":
    """Draw rows until enough meet the conditions, and say which share of the draws did.

    Raises:
        UsageError: a condition is not possible, or hardly any draw meets it.
    """
    with terminal.bar("drawing") as bar:
        found = model.sample_where(
            count, where, y=y, temperature=temperature, seed=seed, progress=bar
        )
    terminal.remark(f"{100 * found.rate:.3g} % of {found.draws:,} draws meet the conditions")
    return found.items.numpy()


def animate(
    model: "TrainedModel",
    path: Output,
    count: int,
    temperature: float,
    seed: int,
    layout: "Layout",
    y: "dict[str, str | None] | None",
) -> None:
    """Write an animation in which each sample turns into the next, and the last into the first.

    Raises:
        UsageError: the animation would be too large.
        VAEError: the file cannot be written.
    """
    from vae_cli.rendering.animation import require_size, write_animation

    shape = (1, *model.spec.shape)
    require_size(count * FRAMES_PER_SAMPLE, shape, layout)
    frames = model.sample_loop(count, FRAMES_PER_SAMPLE, y, temperature=temperature, seed=seed)
    write_animation(frames[:, None], path, layout)
