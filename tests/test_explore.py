"""The server of the page: what it answers, and whom it refuses."""

import http.client
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import VAE, Vae, call
from PIL import Image
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from vae_cli import load
from vae_cli.trained import Trained

LONG = 4 * 2**20  # bytes: no request of a test is longer


class Place(NamedTuple):
    """Where the page is."""

    port: int
    token: str

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(
        self,
        method: str = "GET",
        path: str = "/",
        body: bytes | None = None,
        query: str | None = None,
        **headers: str,
    ) -> tuple[int, bytes]:
        """Status and body of an answer; `headers` replace the right ones."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, f"{path}?{query or f'token={self.token}'}", skip_host=True)
        right = {"Host": self.host}
        for name, value in {**right, **headers}.items():
            if value:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        with closing(connection):
            answer = connection.getresponse()
            return answer.status, answer.read()

    def socket(self, query: str | None = None, **headers: str) -> ClientConnection:
        right = {"Origin": f"http://{self.host}"}
        address = f"ws://{self.host}/decode?{query or f'token={self.token}'}"
        given = {name: value for name, value in {**right, **headers}.items() if value}
        return connect(address, additional_headers=given, proxy=None)


@pytest.fixture(scope="module")
def place(home: Path) -> Iterator[Place]:
    """`vae explore` as it runs for a person; it must end quietly and have printed no more."""
    words = [VAE, "explore", "--no-browser", "--run", "small"]
    with subprocess.Popen(
        words, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        address = urlsplit(process.stdout.readline())
        assert address.port
        yield Place(address.port, address.query.removeprefix("token="))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert [line.split()[0] for line in err.splitlines()] == ["run", "Ctrl-C"]


@pytest.fixture(scope="module")
def model(home: Path) -> Trained:
    return load(home / "runs" / "small")


def png(size: tuple[int, int] = (28, 28)) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    return buffer.getvalue()


def as_bytes(item: np.ndarray) -> bytes:
    return (item * 255).round().astype(np.uint8).tobytes()


# --------------------------------------------------------------------- answers


def test_the_page_asks_nobody_else_for_anything(place: Place) -> None:
    status, page = place.ask()
    assert status == 200
    text = page.decode()
    assert "default-src 'none'" in text
    assert not any(word in text for word in ("http://", "https://", '<link rel="s', "<script src"))


def test_a_latent_is_decoded_as_the_library_does(place: Place, model: Trained) -> None:
    latents = np.random.default_rng(0).normal(size=(5, 20)).astype("<f4")
    with place.socket() as line:
        for z in latents:
            line.send(z.tobytes())
            assert line.recv() == as_bytes(model.decode(z)[0])


def test_a_test_item_is_shown_as_it_is(place: Place, model: Trained) -> None:
    split = model.held_out()
    assert place.ask(path="/items/17") == (200, split.items[17].numpy().tobytes())
    for name in ("10000", "-1", "1.0", "9" * 5000, "%00", "x"):
        assert place.ask(path=f"/items/{name}")[0] == 404


def test_a_picture_is_encoded_as_the_library_does(place: Place, model: Trained) -> None:
    pixels = model.held_out().items[3, 0].numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    status, answer = place.ask("POST", "/encode", buffer.getvalue())
    found = json.loads(answer)
    assert status == 200
    assert bytes(found["pixels"]) == pixels.tobytes()
    assert np.float32(found["latent"]).tolist() == model.encode(pixels).mean[0].tolist()
    query = f"token={place.token}&invert"
    status, answer = place.ask("POST", "/encode", buffer.getvalue(), query)
    assert bytes(json.loads(answer)["pixels"]) == (255 - pixels).tobytes()


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"", 400, "empty"),
        (b"GIF89a", 400, "picture"),
        (png()[:45], 400, "damaged"),
        (png((20_000, 20_000)), 400, "100 million pixels"),
        (bytes(101 * 2**20), 413, ""),
    ],
    ids=["empty", "nonsense", "truncated", "bomb", "long"],
)
def test_uploads_obey_the_limits_of_reconstruct(
    place: Place, content: bytes, status: int, reason: str
) -> None:
    found, answer = place.ask("POST", "/encode", content)
    assert found == status
    assert reason in answer.decode()
    assert "/tmp" not in answer.decode()


# --------------------------------------------------------------------- refusals

EVIL = "http://evil.example"
WRONG = {
    "no token": {"query": "x=1"},
    "another token": {"query": "token=AAAAAAAAAAAAAAAAAAAAAA"},
    "an empty token": {"query": "token="},
    "two tokens": {"query": "token={token}&token={token}"},
    "a token that is no text": {"query": "token=%ff%fe"},
    "another host": {"Host": "evil.example"},
    "a host that points here": {"Host": "evil.example:{port}"},
    "another port": {"Host": "127.0.0.1:1"},
    "no port": {"Host": "127.0.0.1"},
    "another origin": {"Origin": EVIL},
    "an origin without a name": {"Origin": "null"},
    "another scheme": {"Origin": "https://127.0.0.1:{port}"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("path", ["/", "/items/0", "/encode", "/decode", "/nothing"])
def test_who_is_not_this_page_gets_403(place: Place, wrong: dict[str, str], path: str) -> None:
    given = {name: text.format(token=place.token, port=place.port) for name, text in wrong.items()}
    method = "POST" if path == "/encode" else "GET"
    assert place.ask(method, path, png(), **given)[0] == 403


@pytest.mark.parametrize(
    "wrong", [*WRONG.values(), {"Origin": ""}], ids=[*WRONG.keys(), "no origin"]
)
def test_so_does_a_websocket(place: Place, wrong: dict[str, str]) -> None:
    given = {name: text.format(token=place.token, port=place.port) for name, text in wrong.items()}
    if "Host" in given:  # the client library writes its own
        given = {"query": "token=x"}
    with pytest.raises(InvalidStatus) as refused, place.socket(**given):
        pass
    assert refused.value.response.status_code == 403


def test_a_name_that_points_here_is_refused_on_a_websocket_too(place: Place) -> None:
    answer = raw(place, upgrade(place, host=f"evil.example:{place.port}"))
    assert answer.startswith(b"HTTP/1.1 403")


def test_nobody_but_this_machine_is_listened_to(place: Place) -> None:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    local = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    assert [where for where in local if where.endswith(f":{place.port:04X}")] == [
        f"0100007F:{place.port:04X}"
    ]


@pytest.mark.parametrize(
    "message",
    [b"", b"\0" * 79, b"\0" * 84, np.full(20, np.nan, "<f4").tobytes(), "text", b"\0" * 1100],
    ids=["empty", "short", "long", "nan", "text", "very long"],
)
def test_what_is_no_latent_ends_the_conversation(place: Place, message: bytes | str) -> None:
    with place.socket() as line:
        line.send(message)
        with pytest.raises(ConnectionClosedError) as ended:
            line.recv()
    assert ended.value.rcvd
    assert ended.value.rcvd.code in {1007, 1009}


def upgrade(place: Place, host: str | None = None) -> bytes:
    lines = [
        f"GET /decode?token={place.token} HTTP/1.1",
        f"Host: {host or place.host}",
        f"Origin: http://{place.host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def raw(place: Place, content: bytes) -> bytes:
    """The start of an answer to some bytes; nothing where the server hung up."""
    with socket.create_connection(("127.0.0.1", place.port), timeout=20) as line:
        try:
            line.sendall(content)
            line.shutdown(socket.SHUT_WR)
            return line.recv(4096)
        except (ConnectionError, TimeoutError):
            return b""


def mangled(request: bytes, chance: random.Random) -> bytes:
    """A request with bytes flipped, cut, doubled or put in."""
    content = bytearray(request)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(content))
        match chance.randrange(4):
            case 0:
                content[at] = chance.randrange(256)
            case 1:
                del content[at : at + chance.randint(1, 30)]
            case 2:
                content[at:at] = content[at : at + chance.randint(1, 60)]
            case 3:
                content[at:at] = chance.randbytes(chance.randint(1, 20))
        content = content or bytearray(b"\0")
    return bytes(content)


def test_a_thousand_malformed_requests(place: Place) -> None:
    chance, statuses = random.Random(0), []
    fields = f"?token={place.token} HTTP/1.1\r\nHost: {place.host}\r\n"
    requests = [
        f"GET /{fields}\r\n".encode(),
        f"GET /items/3{fields}\r\n".encode(),
        f"POST /encode{fields}Content-Length: {len(png())}\r\n\r\n".encode() + png(),
        f"POST /encode{fields}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".encode(),
        upgrade(place) + b"\x82\xd0\0\0\0\0" + bytes(80),
    ]
    for number in range(1000):
        answer = raw(place, mangled(requests[number % len(requests)], chance))
        assert b"Traceback" not in answer
        if answer:
            statuses.append(int(answer.split()[1]))
    assert len(statuses) > 600, "most are answered"
    assert {status // 100 for status in statuses} <= {1, 2, 4}  # some are still sound
    assert sum(status >= 400 for status in statuses) > 400
    assert place.ask()[0] == 200, "and it goes on"


# --------------------------------------------------------------------- the command


def test_mistakes_are_one_line(home: Path, vae: Vae) -> None:
    def said(*words: object) -> str:
        done = vae("explore", "--no-browser", *words, cwd=home)
        assert done.returncode in {1, 2}
        assert done.stderr.count("\n") == 1
        return done.stderr

    assert "end the name with .html" in said("--export", "page.png")
    assert "--port has no effect" in said("--export", "page.html", "--port", 1)
    assert "--invert has no effect" in said("--invert")
    assert "does not exist" in said("--image", "no.png")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} cannot be used" in said("--port", port)


WITHOUT = """
import sys
sys.modules["{module}"] = None
from vae_cli.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_what_is_not_installed_is_named(home: Path, module: str) -> None:
    words = [sys.executable, "-c", WITHOUT.format(module=module), "explore", "--no-browser"]
    done = subprocess.run(words, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'vae-cli[explore]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_its_data_there_is_a_page_without_a_map(tmp_path: Path, home: Path) -> None:
    data = tmp_path / "x.npy"
    np.save(data, np.random.default_rng(0).random((64, 16, 16), np.float32))
    words = ("train", "--data", data, "--model", "mlp", "--epochs", 1, "--name", "x", "--quiet")
    assert call(*words, cwd=tmp_path).returncode == 0
    data.unlink()
    done = call("explore", "--export", "x.html", cwd=tmp_path)
    assert done.returncode == 0
    assert "no test items and no map" in done.stderr
    assert (tmp_path / "x.html").stat().st_size > 100_000


def test_ctrl_c_ends_it_within_seconds_while_a_page_is_open(home: Path) -> None:
    words = [VAE, "explore", "--no-browser"]
    with subprocess.Popen(words, cwd=home, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = urlsplit(process.stdout.readline())
        assert address.port
        with Place(address.port, address.query.removeprefix("token=")).socket() as line:
            line.send(bytes(80))
            line.recv()
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(timeout=5) == 0
