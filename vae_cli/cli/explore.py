"""`vae explore`."""

import os
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.inputs import read_items
from vae_cli.cli.open import open_run
from vae_cli.cli.options import Device, Invert, Quiet, RunOption, check_idle
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from vae_cli.data import Split
    from vae_cli.explore import Scene
    from vae_cli.trained import Trained


def command(
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Start from this picture. [default: a test item]"),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write the page with the decoder inside, and end."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 is any that is free.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    invert: Invert = False,
    run: RunOption = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Explore the latent space by hand: a page of sliders in the browser.

    Example: `vae explore`, or `vae explore --export page.html` for a page to send to a friend
    """
    terminal = Terminal(quiet=quiet)
    check_idle("--invert", invert and not image, "add --image FILE")
    check_idle("--port", bool(export and port), "leave out --export")
    if export and export.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"--export {export}: end the name with .html")
    trained = open_run(run, device, terminal)
    begin = read_items([image], trained.spec, terminal, invert=invert)[1][:1] if image else None
    from vae_cli.explore.scene import survey

    split = test_set(trained, terminal)
    scene = survey(trained, trained.name, trained.kl_by_dim, split, begin)
    if export:
        write_page(trained, scene, export, terminal)
    else:
        serve(trained, scene, split, port, terminal, opens=browser)


def test_set(trained: "Trained", terminal: Terminal) -> "Split | None":
    """The test part of a run's data; without it there is no map, and that is said."""
    try:
        return trained.held_out()
    except UsageError as error:
        terminal.remark(f"no test items and no map: {error}", "yellow")
        return None


def write_page(trained: "Trained", scene: "Scene", path: Path, terminal: Terminal) -> None:
    """Write the page that needs no server."""
    from vae_cli.explore.export import export
    from vae_cli.files import write_whole

    page = export(trained, scene)
    write_whole(path, page.html.encode())
    if page.remark:
        terminal.remark(page.remark, "yellow")
    terminal.result(path)


def serve(
    trained: "Trained",
    scene: "Scene",
    split: "Split | None",
    port: int,
    terminal: Terminal,
    *,
    opens: bool,
) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UsageError: what it needs is not installed.
    """
    try:
        from vae_cli.explore.server import Server
    except ModuleNotFoundError as error:
        raise UsageError(
            f"vae explore needs {error.name}: pip install 'vae-cli[explore]', or use --export"
        ) from error
    server = Server(trained, scene, split, port)
    terminal.result(server.address)
    terminal.note("Ctrl-C ends it")
    if opens and (sys.platform != "linux" or os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}):
        webbrowser.open(server.address)  # elsewhere it would be a browser in this very terminal
    with suppress(KeyboardInterrupt):
        server.run()
