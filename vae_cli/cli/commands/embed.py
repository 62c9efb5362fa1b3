"""`vae embed`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import RunGroup, opened_together
from vae_cli.cli._options import (
    Force,
    Processes,
    ResultTerminal,
    output_option,
    refuse_unused,
)
from vae_cli.cli._output import STANDARD_OUTPUT, Request, require_suffix
from vae_cli.data.source import find_source
from vae_cli.errors import UsageError, mark, plural
from vae_cli.files import Output, write_bytes
from vae_cli.rendering.suffixes import PLOT_SUFFIXES

if TYPE_CHECKING:
    from vae_cli.api.embeddings import Embedding
    from vae_cli.api.model import TrainedModel
    from vae_cli.data.dataset import Dataset, Progress
    from vae_cli.training import World

Method = Literal["pca", "umap", "tsne"]


def command(
    *,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder of pictures, an array file, a table, or the name of a data set. "
            "[default: the data of the run]",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Write a map of the means as well, coloured by class.",
            rich_help_panel="Output",
        ),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(
            help="Projection of the map; umap and tsne need a library. "
            "[default: pca, and none for two latents]",
            rich_help_panel="Output",
        ),
    ] = None,
    run: RunGroup,
    processes: Processes = 1,
    output: Annotated[
        Path | None,
        output_option(
            "File to write: .npz, .csv or .parquet, or - for CSV on standard output. "
            "[default: embed.npz]"
        ),
    ] = None,
    force: Force = False,
    terminal: ResultTerminal,
) -> None:
    """Write the mean and log-variance of the posterior of every item.

    Example: `vae embed -o z.csv --plot map.png`, or `vae embed photos/ -o z.npz`
    """
    refuse_unused("--method", bool(method and not plot), "add --plot map.png")
    if data is not None:
        find_source(data)  # a typo is answered before torch is imported
    table = Request(output, terminal, inputs=[data], force=force, json=terminal.wants_json)
    map_file = Request(plot, terminal, flag="--plot", inputs=[data], force=force)
    require_outputs(output, plot, method or "pca")
    map_file.refuse_standard_output("map.png")
    outputs = [table, map_file]
    with opened_together([run], processes, terminal, outputs=outputs) as ((model,), world):
        if plot:
            model.require_vectors("vae embed --plot")
        paths = [table.open_table(Path("embed.npz"))]
        if plot:
            paths.append(map_file.open_file(plot))
        embedding = embed_data(model, data, terminal, world)
        if world.rank > 0:
            return
        picture = render(embedding, model.name, method, plot, terminal) if plot else b""
        write(embedding, picture, paths, terminal)


def write(
    embedding: "Embedding", picture: bytes, paths: Sequence[Output], terminal: Terminal
) -> None:
    """Write the embedding, and its map if there is one, and say where."""
    from vae_cli.api.embeddings import write_embedding

    write_embedding(embedding, paths[0])
    if picture:
        write_bytes(paths[1], picture)
    if terminal.wants_json:
        facts = {
            "output": str(paths[0]),
            "items": len(embedding),
            "dimensions": embedding.mode.shape[1],
        }
        terminal.json(facts | ({"plot": str(paths[1])} if picture else {}))
        return
    for path in paths:
        terminal.result(path)


def embed_data(
    model: "TrainedModel", data: str | None, terminal: Terminal, world: "World"
) -> "Embedding":
    """Read the data, and encode them.

    Raises:
        UsageError: there are no such data, or they do not fit the model.
    """
    from vae_cli.api.embeddings import embed
    from vae_cli.api.run_data import read_together
    from vae_cli.data.catalogue import open_dataset_for

    def open_data(progress: "Progress") -> "Dataset":
        return (
            model.data(progress) if data is None else open_dataset_for(model.spec, data, progress)
        )

    with terminal.bar("reading") as bar, naming_argument():
        dataset = read_together(f"{data} for run {model.run.path}", open_data, bar, world)
        dataset.train()
    with terminal.bar("encoding") as bar:
        return embed(model, dataset, bar, world)


@contextmanager
def naming_argument() -> Iterator[None]:
    """Name the argument DATA in an error that asks for other data: this command has no `--data`."""
    try:
        yield
    except UsageError as error:
        raise UsageError(error.message.replace(mark("data"), "vae embed")) from error


def render(
    embedding: "Embedding", name: str, method: Method | None, plot: Path, terminal: Terminal
) -> bytes:
    """The map of the means in the format of `plot`; a remark says so if it shows only some of them.

    Without a method, two latents are the map themselves, and more of them are projected by PCA.

    Raises:
        UsageError: there are too few items for the method.
    """
    from vae_cli.latent.projections import drawable, project, take_plane
    from vae_cli.rendering.map import render_map

    with terminal.spinner("projecting"):  # t-SNE and UMAP take a minute and report no progress
        is_plane = method is None and embedding.mode.shape[1] == 2  # noqa: PLR2004
        mean = embedding.mode
        projection = take_plane(mean) if is_plane else project(mean, method or "pca")
    count, shown = f"{len(embedding):,}", len(projection.rows)
    outside = len(embedding) - len(drawable(embedding.mode))
    if outside:
        are = "is" if outside == 1 else "are"
        said = f"{plural(outside, 'item')} {are} too far from the training set to be on the map"
        terminal.remark(said, "yellow")
    if shown + outside < len(embedding):
        terminal.remark(f"the map shows {shown:,} of {count} items: {method} is slow with more")
    count = count if shown == len(embedding) else f"{shown:,} of {count}"
    labels = None if embedding.labels is None else embedding.labels[projection.rows]
    return render_map(
        projection.coordinates,
        projection.axis_labels,
        title=f"{name}: {count} items",
        labels=labels,
        classes=embedding.classes,
        suffix=plot.suffix.lower(),
    )


def require_outputs(output: Path | None, plot: Path | None, method: Method) -> None:
    """Check the formats of the output files, and their libraries, before the model is loaded.

    Raises:
        UsageError: a format is not known, or a library is missing.
    """
    from vae_cli.api.embeddings import require_writable_format
    from vae_cli.latent.projections import require_library

    if output and output != STANDARD_OUTPUT:
        require_writable_format(output)
    require_library(method)
    require_suffix(plot, PLOT_SUFFIXES, "--plot")
