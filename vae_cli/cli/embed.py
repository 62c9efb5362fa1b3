"""`vae embed`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.open import open_run
from vae_cli.cli.options import Device, Json, Quiet, RunOption, check_idle
from vae_cli.cli.outputs import PICTURES
from vae_cli.errors import UsageError
from vae_cli.files import write_whole

if TYPE_CHECKING:
    from vae_cli.embedding import Embedding
    from vae_cli.trained import Trained

Method = Literal["pca", "umap", "tsne"]


def command(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder of pictures, an array file, a table, or a data set's name. "
            "[default: what the model learned from]",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Draw a map of the means as well, a colour a class.",
            rich_help_panel="Output",
        ),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(
            help="How the map is made; umap and tsne need a library. [default: pca]",
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
    """Write where a model puts every item: the mean and log-variance of its posterior.

    Example: `vae embed -o z.csv --plot map.png`, or `vae embed photos/ -o z.npz`
    """
    terminal = Terminal(quiet=quiet)
    check_idle("--method", bool(method and not plot), "add --plot map.png")
    from vae_cli import embedding
    from vae_cli import plot as maps

    embedding.check(output)
    maps.check(method or "pca")
    check_source(output, data)
    if plot:
        check_plot(plot, data)
    trained = open_run(run, device, terminal)
    found = embed(trained, data, terminal)
    picture = draw(found, trained.name, method or "pca", terminal) if plot else b""
    embedding.write(found, output)
    if plot:
        write_whole(plot, picture)
    if json:
        facts = {"output": str(output), "items": len(found), "dimensions": found.mean.shape[1]}
        terminal.json(facts | ({"plot": str(plot)} if plot else {}))
        return
    terminal.result(output)
    if plot:
        terminal.result(plot)


def embed(trained: "Trained", data: str | None, terminal: Terminal) -> "Embedding":
    """Read the data and encode them.

    Raises:
        UsageError: there are no such data, or they do not fit the model.
    """
    from vae_cli import build, embedding

    with terminal.bar("reading") as bar:
        found = trained.data(bar) if data is None else build.fitted(data, trained.spec, bar)
        found.train()
    with terminal.bar("encoding") as bar:
        return embedding.embed(trained, found, bar)


def draw(found: "Embedding", name: str, method: Method, terminal: Terminal) -> bytes:
    """The map of the means as a PNG; says so when it shows a part of them.

    Raises:
        UsageError: there are too few for the method.
    """
    from vae_cli import plot as maps

    with terminal.bar("placing the points") as bar:
        bar(0, len(found))  # t-SNE and UMAP take a minute, and tell nothing until they are done
        shown, count = maps.flatten(found.mean, method), f"{len(found):,}"
    if len(shown.rows) < len(found):
        count = f"{len(shown.rows):,} of {count}"
        terminal.remark(f"the map shows {count} items: {method} is slow with more")
    labels = None if found.labels is None else found.labels[shown.rows]
    return maps.draw(shown, f"{name}: {count} items", labels, found.classes)


def check_plot(path: Path, data: str | None) -> None:
    """Refuse early a map that cannot be written, or would be taken for one of the pictures.

    Raises:
        UsageError: it is such a one.
    """
    if path.suffix.lower() not in PICTURES:
        raise UsageError(f"--plot {path}: the map is written as PNG; end the name with .png")
    if data and Path(os.path.realpath(data)) in Path(os.path.realpath(path)).parents:
        raise UsageError(
            f"--plot {path} would lie among the pictures of {data}: write it elsewhere"
        )


def check_source(path: Path, data: str | None) -> None:
    """Refuse early to write over what is read.

    Raises:
        UsageError: the two are one file.
    """
    if data and os.path.realpath(path) == os.path.realpath(data):
        raise UsageError(f"--output {path} would overwrite what is read")
