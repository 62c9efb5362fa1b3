"""Connections without a token cannot lock the owner out, and every answer has the same headers."""

import http.client
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest
from support import VAE
from websockets.sync.client import connect

from vae_cli.explore.server import HEADERS, MAX_SECONDS, MAX_WAITING

WORDS = ("explore", "--no-browser", "--run", "small")
FILES = 1024  # that the server's process may have open, as on most systems
IDLE = 1100  # connections


class Site(NamedTuple):
    """A server of the page in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    token: str

    def request(
        self, method: str = "GET", path: str = "/", token: str | None = None
    ) -> http.client.HTTPResponse:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(line):
            line.request(method, f"{path}?token={token or self.token}")
            answer = line.getresponse()
            answer.read()
            return answer

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def connect(self, content: bytes = b"") -> socket.socket:
        line = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        line.sendall(content)
        return line


@pytest.fixture(scope="module")
def site(home: Path) -> Iterator[Site]:
    """A server that may have 1,024 files open, and that prints nothing but two lines."""
    with subprocess.Popen(
        ["sh", "-c", f'ulimit -n {FILES} && exec "$0" "$@"', VAE, *WORDS],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        address, _, token = process.stdout.readline().strip().partition("/?token=")
        yield Site(process, int(address.rpartition(":")[2]), token)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert [line.split()[0] for line in err.splitlines()] == ["run", "Ctrl-C"]


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/", None, 200),
        ("GET", "/items/3", None, 200),
        ("POST", "/encode", None, 400),
        ("GET", "/", "wrong", 403),
        ("GET", "/nothing", None, 404),
        ("GET", "/items/x", None, 404),
        ("DELETE", "/", None, 405),
        ("GET", "/encode", None, 405),
    ],
)
def test_every_answer_has_the_same_headers(
    site: Site, method: str, path: str, token: str | None, status: int
) -> None:
    answer = site.request(method, path, token)
    assert answer.status == status
    for name, value in HEADERS:
        assert answer.headers.get_all(name) == [value]


def is_closed(line: socket.socket) -> bool:
    """Whether the other side closes the connection within the timeout of the socket."""
    try:
        return line.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="counts the files of a process")
@pytest.mark.parametrize("start", [b"", b"GET /?token=wrong HTTP/1.1\r\nHost: x\r\nX: "])
def test_the_owner_is_served_while_others_hold_more_connections_than_a_process_may_have(
    site: Site, start: bytes
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * IDLE), hard))
    with ExitStack() as idle:
        for _ in range(IDLE):
            idle.enter_context(site.connect(start))
        assert site.request().status == 200
        assert site.open_files() < MAX_WAITING + 50
        headers = {"Origin": f"http://127.0.0.1:{site.port}"}
        address = f"ws://127.0.0.1:{site.port}/decode?token={site.token}"
        with connect(address, additional_headers=headers, proxy=None) as websocket:
            websocket.send(bytes(80))
            assert len(websocket.recv()) == 28 * 28
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_only_a_connection_without_a_correct_request_is_closed_after_a_time(site: Site) -> None:
    fields = f"HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
    headers = {"Origin": f"http://127.0.0.1:{site.port}"}
    address = f"ws://127.0.0.1:{site.port}/decode?token={site.token}"
    with (
        site.connect() as silent,
        site.connect(f"GET / {fields}".encode()) as slow,
        connect(address, additional_headers=headers, proxy=None) as websocket,
    ):
        sent = 0
        slow.settimeout(MAX_SECONDS / 5)
        while not is_closed(slow):  # a byte now and then does not keep a connection open
            slow.sendall(b"X")
            sent += 1
            assert sent < 10, "twice as many as there is time for"
        assert is_closed(silent)
        websocket.send(bytes(80))
        assert len(websocket.recv()) == 28 * 28
