"""`vae embed`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.inputs import require_outside
from vae_cli.cli.opening import open_run
from vae_cli.cli.options import Device, Json, Quiet, RunOption, refuse_unused
from vae_cli.data.catalogue import find_source
from vae_cli.errors import UsageError
from vae_cli.files import is_same_file, require_writable_file, write_bytes

if TYPE_CHECKING:
    from vae_cli.api.embeddings import Embedding
    from vae_cli.api.model import TrainedModel

Method = Literal["pca", "umap", "tsne"]
PLOT_SUFFIXES = (".png", ".svg")


def command(
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
    run: RunOption = None,
    device: Device = "auto",
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="File to write: .npz, .csv or .parquet.",
            rich_help_panel="Output",
        ),
    ] = Path("embed.npz"),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the mean and log-variance of the posterior of every item.

    Example: `vae embed -o z.csv --plot map.png`, or `vae embed photos/ -o z.npz`
    """
    terminal = Terminal(quiet=quiet)
    refuse_unused("--method", bool(method and not plot), "add --plot map.png")
    if data is not None:
        find_source(data)  # a typo is answered before torch is imported
    require_outputs(output, plot, data, method or "pca")
    from vae_cli.api.embeddings import write_embedding

    model = open_run(run, device, terminal)
    embedding = embed_data(model, data, terminal)
    picture = render(embedding, model.name, method, plot, terminal) if plot else b""
    write_embedding(embedding, output)
    if plot:
        write_bytes(plot, picture)
    if json:
        facts = {
            "output": str(output),
            "items": len(embedding),
            "dimensions": embedding.mean.shape[1],
        }
        terminal.json(facts | ({"plot": str(plot)} if plot else {}))
        return
    for path in (output, plot):
        if path:
            terminal.result(path)


def embed_data(model: "TrainedModel", data: str | None, terminal: Terminal) -> "Embedding":
    """Read the data, and encode them.

    Raises:
        UsageError: there are no such data, or they do not fit the model.
    """
    from vae_cli.api.embeddings import embed
    from vae_cli.data.catalogue import open_dataset_for

    with terminal.bar("reading") as bar:
        dataset = (
            model.data(bar, flag="vae embed")
            if data is None
            else open_dataset_for(model.spec, data, bar)
        )
        dataset.train()
    with terminal.bar("encoding") as bar:
        return embed(model, dataset, bar)


def render(
    embedding: "Embedding", name: str, method: Method | None, plot: Path, terminal: Terminal
) -> bytes:
    """The map of the means in the format of `plot`; a remark says so if it shows only some of them.

    Without a method, two latents are the map themselves, and more of them are projected by PCA.

    Raises:
        UsageError: there are too few items for the method.
    """
    from vae_cli.latent.projections import project, take_plane
    from vae_cli.render.map import render_map

    with terminal.spinner("projecting"):  # t-SNE and UMAP take a minute and report no progress
        is_plane = method is None and embedding.mean.shape[1] == 2  # noqa: PLR2004
        mean = embedding.mean
        projection = take_plane(mean) if is_plane else project(mean, method or "pca")
    count = f"{len(embedding):,}"
    if len(projection.rows) < len(embedding):
        count = f"{len(projection.rows):,} of {count}"
        terminal.remark(f"the map shows {count} items: {method} is slow with more")
    labels = None if embedding.labels is None else embedding.labels[projection.rows]
    return render_map(
        projection.coordinates,
        projection.axis_labels,
        f"{name}: {count} items",
        labels,
        embedding.classes,
        plot.suffix.lower(),
    )


def require_outputs(output: Path, plot: Path | None, data: str | None, method: Method) -> None:
    """Check the output files and the libraries before the model is loaded.

    Raises:
        UsageError: a file cannot be written, would overwrite the data, or would be taken for one of
            its pictures; or a library is missing.
        VAEError: an output file is not a file, such as a folder, a pipe or a device.
    """
    from vae_cli.api.embeddings import require_writable_format
    from vae_cli.latent.projections import require_library

    require_writable_format(output)
    require_library(method)
    if data and is_same_file(output, data):
        raise UsageError(f"--output {output} would overwrite what is read")
    if plot and plot.suffix.lower() not in PLOT_SUFFIXES:
        raise UsageError(f"--plot {plot}: the map is a PNG or SVG; end the name with .png or .svg")
    if data:
        require_outside(data, "--plot", plot)
    for path in (output, plot):
        if path:
            require_writable_file(path)
