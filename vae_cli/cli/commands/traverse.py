"""`vae traverse`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli._conditions import ask_condition, tell
from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import (
    FittingGroup,
    RunGroup,
    active_dims,
    choose_seed,
    parse_dims,
    parse_offsets,
    read_items,
    show_kl,
    take_kl,
    take_test_items,
)
from vae_cli.cli._options import (
    ClassOption,
    Data,
    NoCaptions,
    ResultTerminal,
    SamplePosterior,
    Seed,
    WhereCondition,
    refuse_unused,
)
from vae_cli.cli._pictures import AnimatedOutput, name_latent, signed
from vae_cli.errors import UsageError
from vae_cli.files import Output

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.api.model import TrainedModel


def command(
    *,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Start from this picture, or from the first row of a table. "
            "[default: a test item]",
        ),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(
            metavar="START:STOP:STEP",
            help="Numbers to add to the latent, one per column, without STOP. "
            "[default: -0.5:3:0.25, with --dim -3:3.5:0.5]",
        ),
    ] = None,
    dim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K|active",
            help="Shift only this dimension; 1,2 makes two rows, and active, or all, one for each "
            "dimension that carries information.",
        ),
    ] = None,
    silent: Annotated[
        bool,
        typer.Option("--silent", help="With --dim all, keep the dimensions that change nothing."),
    ] = False,
    level: Annotated[
        int,
        typer.Option(min=0, help="Level of a hierarchical model to shift; 0 is the top one."),
    ] = 0,
    index: Annotated[
        int | None,
        typer.Option(min=0, help="Number of the test item, if no FILE is given. [default: 0]"),
    ] = None,
    fitting: FittingGroup,
    sample: SamplePosterior = False,
    seed: Seed = None,
    run: RunGroup,
    data: Data = None,
    class_: ClassOption = None,
    where: WhereCondition = None,
    output: AnimatedOutput,
    no_captions: NoCaptions = False,
    terminal: ResultTerminal,
) -> None:
    """Shift the latent of one picture, or row, and decode it.

    A conditional model is told the item's own class and columns, or what --class and --where say.

    Example: `vae traverse --offset -0.5:3:0.25`, or `vae traverse --dim active -o traverse.gif`
    """
    wanted = output.request(terminal, [file, data])
    fitting.require_use(has_file=file is not None)
    refuse_unused("--index", index is not None and file is not None, "leave out FILE")
    refuse_unused("--data", data is not None and file is not None, "leave out FILE")
    refuse_unused("--seed", seed is not None and not sample, "add --sample")
    refuse_unused("--silent", silent and dim != ["all"], "add --dim all")
    offsets = parse_offsets(("-3:3.5:0.5" if dim else "-0.5:3:0.25") if offset is None else offset)
    model = run.open(terminal, data, outputs=[wanted])
    path = wanted.open_items(model.kind, "traverse")
    model.require_vectors("vae traverse")
    require_level(model, level)
    seed = choose_seed(seed, terminal) if sample else None
    told = ask_condition(model, class_, where or [])
    with terminal.spinner("reading"):
        found = (
            read_items(model, [file], terminal, fitting)
            if file
            else take_test_items(model, index or 0, 1)
        )
        names, items, _, y = tell(model, found.head(1), told)
    kl_by_dim = model.kl_by_dim_of(items, level, y) if level else model.kl_by_dim
    latent_dim = model.model.latent_dims[level]
    dims = choose_rows(dim, kl_by_dim, latent_dim, terminal, silent=silent) if dim else None
    kl = take_kl(kl_by_dim, dims or ())
    from vae_cli.rendering.arrangements import Traversal

    count = len(offsets) * len(dims or [0])
    layout = output.lay_out(
        len(offsets),
        has_captions=not no_captions,
        title=f"{names[0]}, {'one latent' if dims else 'all latents'} shifted by",
        above=[signed(offset) for offset in offsets],
        left=list(map(name_latent, dims or (), kl)),
    )
    writer = model.kind.writer(layout)
    writer.require_writable(count, path)
    with terminal.spinner("decoding"):
        tiles = model.traverse(items, offsets, dims, y=y, seed=seed, level=level)
        writer.write_arrangement(Traversal(items=tiles, offsets=offsets, dims=dims), path)
    print_rows(terminal, path, offsets, list(zip(dims or (), kl, strict=True)))


def require_level(model: "TrainedModel", level: int) -> None:
    """Check that a model has a level.

    Raises:
        UsageError: it does not.
    """
    count = len(model.model.latent_dims)
    if level >= count:
        remedy = f"choose 0 to {count - 1}" if count > 1 else "this model has only level 0"
        raise UsageError(f"--level {level}: {remedy}")


def choose_rows(
    words: list[str],
    kl_by_dim: "Tensor | None",
    count: int,
    terminal: Terminal,
    *,
    silent: bool,
) -> list[int]:
    """The dimensions to shift; unless it is asked for them, `all` leaves out the silent ones.

    Raises:
        UsageError: as in `parse_dims`, or no dimension is active.
    """
    dims = parse_dims(words, kl_by_dim, count)
    if kl_by_dim is None:
        return dims
    active = active_dims(kl_by_dim)
    if words == ["active"] and not active:
        raise UsageError("--dim active: none of the dimensions carries information")
    left_out = count - len(active)
    if words != ["all"] or silent or not (active and left_out):
        return dims
    what = "dimension that changes" if left_out == 1 else "dimensions that change"
    terminal.remark(f"without {left_out} {what} nothing; --silent keeps them")
    return active


def print_rows(
    terminal: Terminal,
    path: Output,
    offsets: Sequence[float],
    rows: Sequence[tuple[int, float | None]],
) -> None:
    """Print the dimension and the KL of each row, and the path of the picture."""
    if terminal.wants_json:
        records = [{"dim": number, "kl": kl} for number, kl in rows]
        terminal.json({"output": str(path), "offsets": offsets, "rows": records})
        return
    if rows:
        table = [(str(row), number, show_kl(kl, 3)) for row, (number, kl) in enumerate(rows, 1)]
        terminal.table(("row", "dimension", "KL (nats)"), table)
    terminal.result(path)
