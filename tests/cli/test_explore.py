"""`vae explore`: its options, its messages and its end."""

import os
import signal
import socket
import subprocess
import sys
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from support import VAE, Refused, Use
from websockets.sync.client import connect

from vae_cli.explore import export
from vae_cli.explore.server import Server


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--export", "page.png"], "--export page.png: end the name with .html"),
        (["--export", "page.html", "--port", 1], "--port has no effect here: leave it out"),
        (["--invert"], "--invert has no effect here: leave it out, or add --image FILE"),
        (["--image", "no.png"], "no.png does not exist"),
        (["--port", 70000], "--port"),
    ],
    ids=["extension", "port", "invert", "image", "large port"],
)
def test_arguments_that_do_not_fit_are_refused(
    here: Path, refused: Refused, words: list[object], message: str
) -> None:
    assert message in refused("explore", "--no-browser", *words)


def test_a_port_that_is_taken_is_refused(here: Path, refused: Refused) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused("explore", "--no-browser", "--port", port, code=1)
    assert line.startswith(f"port {port} cannot be used: ")


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_the_message_names_the_packages_of_the_server(
    here: Path, refused: Refused, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = [name for name in sys.modules if name.split(".")[0] == module]
    for name in [*hidden, "vae_cli.explore.server"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    line = refused("explore", "--no-browser")
    assert f"needs {module}" in line
    assert "pip install 'vae-cli[explore]', or use --export" in line


def test_exporting_needs_no_server(use: Use, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("starlette", "uvicorn"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "vae_cli.explore.server", raising=False)
    assert use("explore", "--export", "page.html").out == "page.html\n"
    assert Path("page.html").read_text().startswith("<!doctype html>")


def test_a_page_is_exported_with_the_picture_from_which_it_starts(use: Use, here: Path) -> None:
    Image.new("L", (28, 28), 200).save("start.png")
    use("explore", "--export", "with.html", "--image", "start.png")
    use("explore", "--export", "without.html")
    assert '"upload": ""' in Path("without.html").read_text()
    assert '"upload": "yMjI' in Path("with.html").read_text(), "pixels of 200 in base64"


def test_without_the_data_there_is_a_page_without_a_map(use: Use, here: Path) -> None:
    np.save("x.npy", np.random.default_rng(0).random((64, 16, 16), np.float32))
    use("train", "--data", "x.npy", "--model", "mlp", "--epochs", 1, "--name", "x", "--quiet")
    Path("x.npy").unlink()
    assert "no test items and no map" in use("explore", "--run", "x", "--export", "x.html").err
    assert Path("x.html").stat().st_size > 100_000


def test_a_remark_says_that_a_decoder_was_too_large(
    use: Use, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_WEIGHTS", 1000)
    assert (
        "is too large for a page: this page has 31x31 pictures"
        in use("explore", "--export", "page.html").err
    )


def test_a_table_whose_decoder_is_too_large_is_not_exported(
    use: Use, refused: Refused, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("x.csv").write_text("a,b\n" + "".join(f"{row},{row % 7}\n" for row in range(80)))
    use("train", "--data", "x.csv", "--epochs", 1, "--latent-dim", 2, "--name", "x", "--quiet")
    monkeypatch.setattr(export, "MAX_WEIGHTS", 10)
    line = refused("explore", "--run", "x", "--export", "x.html")
    assert line.endswith("use vae explore without --export")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
@pytest.mark.parametrize(
    ("words", "display", "opened"),
    [([], ":0", True), ([], "", False), (["--no-browser"], ":0", False)],
    ids=["display", "no display", "no browser"],
)
def test_a_browser_is_opened_if_there_is_a_display(
    use: Use, monkeypatch: pytest.MonkeyPatch, words: list[str], display: str, *, opened: bool
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    monkeypatch.setattr(Server, "run", lambda self: self.socket.close())
    address = use("explore", *words).out.strip()
    assert address.startswith("http://127.0.0.1:")
    assert len(addresses) == opened
    for opened_address in addresses:  # a private file that redirects, so that no token is visible
        assert opened_address.startswith("file://")
        assert address not in opened_address


@pytest.mark.slow
def test_ctrl_c_ends_it_while_a_page_is_open(home: Path) -> None:
    words = [VAE, "explore", "--no-browser"]
    with subprocess.Popen(words, cwd=home, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = urlsplit(process.stdout.readline().strip())
        origin = f"http://{address.netloc}"
        url = f"ws://{address.netloc}/decode?{address.query}"
        with connect(url, additional_headers={"Origin": origin}, proxy=None) as websocket:
            websocket.send(bytes(80))
            websocket.recv()
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(timeout=60) == 0
