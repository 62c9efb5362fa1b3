"""The server of the page: its answers, and the requests that it refuses."""

import http.client
import io
import json
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
from PIL import Image
from support import VAE
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from vae_cli.api.model import TrainedModel
from vae_cli.explore.server import HEADERS


class Client(NamedTuple):
    """Sends requests to the server of a page."""

    port: int
    token: str

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def request(
        self,
        method: str = "GET",
        path: str = "/",
        body: bytes | None = None,
        query: str | None = None,
        **headers: str,
    ) -> tuple[int, bytes]:
        """Status and body of an answer; `headers` replace the correct ones, or leave them out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, f"{path}?{query or f'token={self.token}'}", skip_host=True)
        correct = {"Host": self.host}
        for name, value in {**correct, **headers}.items():
            if value:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        with closing(connection):
            answer = connection.getresponse()
            return answer.status, answer.read()

    def open_socket(self, query: str | None = None, **headers: str) -> ClientConnection:
        correct = {"Origin": f"http://{self.host}"}
        address = f"ws://{self.host}/decode?{query or f'token={self.token}'}"
        given = {name: value for name, value in {**correct, **headers}.items() if value}
        return connect(address, additional_headers=given, proxy=None)


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    """A client of `vae explore`, which must print nothing else and stop without an error."""
    words = [VAE, "explore", "--no-browser", "--run", "small"]
    with subprocess.Popen(
        words, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        address = urlsplit(process.stdout.readline())
        assert address.port
        yield Client(address.port, address.query.removeprefix("token="))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert [line.split()[0] for line in err.splitlines()] == ["run", "Ctrl-C"]


def png(size: tuple[int, int] = (28, 28)) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    return buffer.getvalue()


def as_bytes(item: np.ndarray) -> bytes:
    return (item * 255).round().astype(np.uint8).tobytes()


# --------------------------------------------------------------------- answers


def test_the_page_loads_nothing_from_elsewhere(client: Client) -> None:
    status, page = client.request()
    assert status == 200
    text = page.decode()
    assert "default-src 'none'" in text
    assert not any(word in text for word in ("http://", "https://", '<link rel="s', "<script src"))


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("GET", "/", None, 200),
        ("GET", "/items/3", None, 200),
        ("POST", "/encode", None, 400),
        ("GET", "/", "token=wrong", 403),
        ("GET", "/nothing", None, 404),
        ("DELETE", "/", None, 405),
        ("GET", "/encode", None, 405),
    ],
)
def test_every_answer_has_the_same_headers(
    client: Client, method: str, path: str, query: str | None, status: int
) -> None:
    line = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    with closing(line):
        line.request(method, f"{path}?{query or f'token={client.token}'}")
        answer = line.getresponse()
        answer.read()
    assert answer.status == status
    for name, value in HEADERS:
        assert answer.headers.get_all(name) == [value]


def test_a_latent_is_decoded_as_in_the_api(client: Client, model: TrainedModel) -> None:
    latents = np.random.default_rng(0).normal(size=(5, 20)).astype("<f4")
    with client.open_socket() as websocket:
        for z in latents:
            websocket.send(z.tobytes())
            assert websocket.recv() == as_bytes(model.decode(z)[0])


def test_a_test_item_is_sent_unchanged_and_an_unknown_one_is_404(
    client: Client, model: TrainedModel
) -> None:
    split = model.held_out()
    assert client.request(path="/items/17") == (200, split.items[17].numpy().tobytes())
    for name in ("10000", "-1", "1.0", "9" * 5000, "%00", "x"):
        assert client.request(path=f"/items/{name}")[0] == 404


def test_a_picture_is_encoded_as_in_the_api(client: Client, model: TrainedModel) -> None:
    pixels = model.held_out().items[3, 0].numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    status, answer = client.request("POST", "/encode", buffer.getvalue())
    found = json.loads(answer)
    assert status == 200
    assert bytes(found["pixels"]) == pixels.tobytes()
    assert np.float32(found["latent"]).tolist() == model.encode(pixels).mean[0].tolist()
    query = f"token={client.token}&invert"
    status, answer = client.request("POST", "/encode", buffer.getvalue(), query)
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
def test_an_upload_has_the_same_limits_as_the_pictures_of_reconstruct(
    client: Client, content: bytes, status: int, reason: str
) -> None:
    found, answer = client.request("POST", "/encode", content)
    assert found == status
    assert reason in answer.decode()
    assert "/tmp" not in answer.decode(), "the path of a temporary file means nothing to the user"


# --------------------------------------------------------------------- refusals

OTHER_ORIGIN = "http://evil.example"
WRONG_REQUESTS = {
    "no token": {"query": "x=1"},
    "another token": {"query": "token=AAAAAAAAAAAAAAAAAAAAAA"},
    "an empty token": {"query": "token="},
    "two tokens": {"query": "token={token}&token={token}"},
    "a token that is not text": {"query": "token=%ff%fe"},
    "another host": {"Host": "evil.example"},
    "another host with this port": {"Host": "evil.example:{port}"},
    "another port": {"Host": "127.0.0.1:1"},
    "no port": {"Host": "127.0.0.1"},
    "another origin": {"Origin": OTHER_ORIGIN},
    "an origin without a name": {"Origin": "null"},
    "another scheme": {"Origin": "https://127.0.0.1:{port}"},
}


def fill_in(wrong: dict[str, str], client: Client) -> dict[str, str]:
    """A wrong request with the token and the port of the server."""
    return {key: text.format(token=client.token, port=client.port) for key, text in wrong.items()}


@pytest.mark.parametrize("wrong", WRONG_REQUESTS.values(), ids=WRONG_REQUESTS.keys())
@pytest.mark.parametrize("path", ["/", "/items/0", "/encode", "/decode", "/nothing"])
def test_a_request_that_is_not_from_this_page_gets_403(
    client: Client, wrong: dict[str, str], path: str
) -> None:
    method = "POST" if path == "/encode" else "GET"
    assert client.request(method, path, png(), **fill_in(wrong, client))[0] == 403


@pytest.mark.parametrize(
    "wrong",
    [*(wrong for wrong in WRONG_REQUESTS.values() if "Host" not in wrong), {"Origin": ""}],
    ids=[*(name for name, wrong in WRONG_REQUESTS.items() if "Host" not in wrong), "no origin"],
)
def test_a_websocket_that_is_not_from_this_page_gets_403(
    client: Client, wrong: dict[str, str]
) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        client.open_socket(**fill_in(wrong, client)),
    ):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "host", [host["Host"] for host in WRONG_REQUESTS.values() if "Host" in host]
)
def test_a_websocket_with_another_host_gets_403(client: Client, host: str) -> None:
    """The client library writes its own host, so this request is written here."""
    request = upgrade(client, host=host.format(port=client.port))
    assert send_raw(client, request).startswith(b"HTTP/1.1 403")


def test_a_websocket_from_this_page_is_accepted(client: Client) -> None:
    assert send_raw(client, upgrade(client)).startswith(b"HTTP/1.1 101")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_only_the_loopback_address_is_listened_on(client: Client) -> None:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    port = f":{client.port:04X}"
    assert [place for place in listening if place.endswith(port)] == [f"0100007F{port}"]


@pytest.mark.parametrize(
    "message",
    [b"", b"\0" * 79, b"\0" * 84, np.full(20, np.nan, "<f4").tobytes(), "text", b"\0" * 1100],
    ids=["empty", "short", "long", "nan", "text", "very long"],
)
def test_a_message_that_is_not_a_latent_closes_the_websocket(
    client: Client, message: bytes | str
) -> None:
    with client.open_socket() as websocket:
        websocket.send(message)
        with pytest.raises(ConnectionClosedError) as closed:
            websocket.recv()
    assert closed.value.rcvd
    assert closed.value.rcvd.code in {1007, 1009}


def upgrade(client: Client, host: str | None = None) -> bytes:
    """A request for a WebSocket."""
    lines = [
        f"GET /decode?token={client.token} HTTP/1.1",
        f"Host: {host or client.host}",
        f"Origin: http://{client.host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def send_raw(client: Client, content: bytes) -> bytes:
    """Send some bytes; returns the start of the answer, or nothing if the server hung up."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(4096)
        except (ConnectionError, TimeoutError):
            return b""


def corrupt(request: bytes, chance: random.Random) -> bytes:
    """A request in which some bytes are changed, removed, repeated or inserted."""
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


def test_a_thousand_malformed_requests_cause_no_server_error(client: Client) -> None:
    chance, statuses = random.Random(0), []
    fields = f"?token={client.token} HTTP/1.1\r\nHost: {client.host}\r\n"
    requests = [
        f"GET /{fields}\r\n".encode(),
        f"GET /items/3{fields}\r\n".encode(),
        f"POST /encode{fields}Content-Length: {len(png())}\r\n\r\n".encode() + png(),
        f"POST /encode{fields}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".encode(),
        upgrade(client) + b"\x82\xd0\0\0\0\0" + bytes(80),
    ]
    for number in range(1000):
        answer = send_raw(client, corrupt(requests[number % len(requests)], chance))
        assert b"Traceback" not in answer
        if answer:
            statuses.append(int(answer.split()[1]))
    assert len(statuses) > 600, "most are answered"
    assert {status // 100 for status in statuses} <= {1, 2, 4}  # some are still valid
    assert sum(status >= 400 for status in statuses) > 400
    assert client.request()[0] == 200, "the server still runs"
