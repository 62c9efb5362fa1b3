"""`vae explore`."""

import html
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._errors import show_options
from vae_cli.cli._inputs import FittingGroup, RunGroup, read_items
from vae_cli.cli._options import (
    Data,
    Force,
    QuietTerminal,
    refuse_unused,
)
from vae_cli.cli._output import Request, require_suffix
from vae_cli.errors import UsageError
from vae_cli.files import Output, write_bytes

if TYPE_CHECKING:
    from vae_cli.api.model import TrainedModel
    from vae_cli.data.dataset import NamedSplit
    from vae_cli.explore.scene import Scene

TOP_LEVEL_ONLY = (
    "the page moves the top level, and the levels below follow at the means of their priors; "
    "vae traverse --level moves them"
)


def command(
    *,
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Start from this picture. [default: a test item]"),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write a page that contains the decoder, and needs no server."
        ),
    ] = None,
    force: Force = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 is any free port.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    fitting: FittingGroup,
    run: RunGroup,
    data: Data = None,
    terminal: QuietTerminal,
) -> None:
    """Explore the latent space by hand: a page of sliders in the browser.

    Example: `vae explore`, or `vae explore --export page.html` for a page that you can send
    """
    fitting.require_use(has_file=image is not None, remedy="add --image FILE")
    refuse_unused("--port", bool(export and port), "leave out --export")
    refuse_unused("--force", force and not export, "add --export FILE.html")
    require_suffix(export, (".html", ".htm"), "--export")
    page = Request(export, terminal, flag="--export", inputs=[image, data], force=force)
    page.refuse_standard_output("page.html")
    model = run.open(terminal, data, outputs=[page])
    model.require_vectors("vae explore")
    first = read_items(model, [image], terminal, fitting).items[:1] if image else None
    from vae_cli.explore.scene import build_scene

    with terminal.spinner("encoding"):
        test = find_test_set(model, terminal) if data is None else model.test_set()
        scene = build_scene(model, test, first)
    if len(model.model.latent_dims) > 1:
        terminal.remark(TOP_LEVEL_ONLY, "yellow")
    if export:
        write_page(model, scene, page.open_file(export), terminal)
    else:
        serve(model, scene, test, port, terminal, open_browser=browser)


def find_test_set(model: "TrainedModel", terminal: Terminal) -> "NamedSplit | None":
    """The test set of a run; if it is not available, a remark says that there is no map."""
    try:
        return model.test_set()
    except UsageError as error:
        terminal.remark(f"no test items and no map: {show_options(error.message)}", "yellow")
        return None


def write_page(model: "TrainedModel", scene: "Scene", path: Output, terminal: Terminal) -> None:
    """Write the page that needs no server."""
    from vae_cli.explore.export import export_page

    with terminal.spinner("writing"):
        page = export_page(model, scene)
        write_bytes(path, page.html.encode())
    if page.remark:
        terminal.remark(page.remark, "yellow")
    terminal.result(path)


def serve(
    model: "TrainedModel",
    scene: "Scene",
    test: "NamedSplit | None",
    port: int,
    terminal: Terminal,
    *,
    open_browser: bool,
) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UsageError: a library that it needs is not installed.
    """
    try:
        from vae_cli.explore.server import Server
    except ModuleNotFoundError as error:
        raise UsageError(
            f"vae explore needs {error.name}: pip install 'vae-cli[explore]', or use --export"
        ) from error
    server = Server(model, scene, test, port)
    terminal.result(server.address)
    terminal.note("Ctrl-C ends it")
    opened = open_browser and has_browser()
    with open_in_browser(server.address) if opened else nullcontext(), suppress(KeyboardInterrupt):
        server.run()


REDIRECT = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>vae explore</title>
<a href="{address}">Open the page</a>
"""


def has_browser() -> bool:
    """Whether there is a display; without one, a text browser would start in the terminal."""
    return sys.platform != "linux" or bool(os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"})


@contextmanager
def open_in_browser(address: str) -> Iterator[None]:
    """Open an address that contains a secret, within a context that ends when it is of no use.

    All users of a machine can read the command line of the browser. It therefore gets the path of a
    file that only this user can read, and the file leads to the address.
    """
    with tempfile.TemporaryDirectory(prefix="vae-") as folder:  # its permissions are 0700
        page = Path(folder, "explore.html")
        page.touch(0o600)
        page.write_text(REDIRECT.format(address=html.escape(address)), "utf-8")
        webbrowser.open(page.as_uri())
        yield
