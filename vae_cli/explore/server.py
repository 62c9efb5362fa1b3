"""The page from a server on this machine, for this user alone.

GET  /            the page
GET  /items/17    a test item as bytes
POST /encode      a picture file; the answer is its latent, and the picture as the model sees it
     /decode      WebSocket: each latent as float32 is answered with an item as bytes; behind it is
                  what a conditional model is told, and in /encode it is `told`

The server listens on 127.0.0.1. A request must have the token from the page's address, name this
server as its host, and not come from another page. Any other request gets 403, over HTTP and over
WebSocket. This keeps out other users of the machine, other pages in the same browser, and host
names that someone points at 127.0.0.1 (DNS rebinding).
"""

import asyncio
import base64
import logging
import re
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from vae_cli.api.model import TrainedModel
from vae_cli.data.batches import to_unit_interval
from vae_cli.data.dataset import NamedSplit
from vae_cli.data.picture import Fitting, read_picture
from vae_cli.data.picture_files import MAX_BYTES
from vae_cli.data.statistics import expected_border
from vae_cli.errors import UsageError, VAEError
from vae_cli.explore.content import decode_to_bytes, item_to_bytes, split_position
from vae_cli.explore.scene import Scene, make_document

ADDRESS = "127.0.0.1"
HEADERS = [  # of every answer
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
]
LINK = "server.js"
SILENT = logging.CRITICAL + 1
INVALID_MESSAGE = 1007  # the code of WebSocket for a message with invalid content

T = TypeVar("T")


@final
class Guard:
    """Admits requests that have the token and do not come from another page."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app = app
        self.token = token.encode()
        self.hosts = {f"{name}:{port}".encode() for name in (ADDRESS, "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if self.admits(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted, this sends 403
        else:
            text = "The token is missing or old: open the whole address that vae explore printed."
            await PlainTextResponse(text, 403)(scope, receive, send)

    def admits(self, scope: Scope) -> bool:
        """Whether host, origin and token are correct, and each is given once."""
        given = [(name, value) for name, value in scope["headers"] if name in {b"host", b"origin"}]
        hosts = [value for name, value in given if name == b"host"]
        origins = [value for name, value in given if name == b"origin"]
        tokens = QueryParams(scope["query_string"]).getlist("token")
        if len(hosts) != 1 or hosts[0] not in self.hosts or len(tokens) != 1:
            return False
        own_page = origins == [b"http://" + hosts[0]]
        navigates = not origins and scope["type"] == "http"
        return (own_page or navigates) and secrets.compare_digest(tokens[0].encode(), self.token)


@final
class Server:
    """The page, on a port of this machine.

    Args:
        model: the model.
        scene: what the page shows in addition to the decoded item.
        test: the test set, or None.
        port: 0 means any free port.

    Raises:
        VAEError: the port cannot be used.
    """

    def __init__(
        self, model: TrainedModel, scene: Scene, test: NamedSplit | None, port: int = 0
    ) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.socket.bind((ADDRESS, port))
        except OSError as error:
            self.socket.close()
            raise VAEError(f"port {port} cannot be used: {error.strerror}") from error
        self.socket.listen()
        self.port: int = self.socket.getsockname()[1]
        self.token = secrets.token_urlsafe(16)
        application = Answers(model, scene, test).application()
        guard = Guard(application, self.token, self.port)
        options: dict[str, Any] = {
            "http": "h11",
            "headers": HEADERS,
            "server_header": False,
            "proxy_headers": False,
            "log_config": None,
            "log_level": SILENT,  # invalid requests are answered, not printed
            "lifespan": "off",
            "ws": "websockets-sansio",
            "ws_max_size": 8 * position_size(model) + 1024,
            "ws_per_message_deflate": False,
            "timeout_graceful_shutdown": 1,
        }
        self.uvicorn = uvicorn.Server(uvicorn.Config(guard, **options))

    @property
    def address(self) -> str:
        """The address of the page, with the token."""
        return f"http://{ADDRESS}:{self.port}/?token={self.token}"

    def run(self) -> None:
        """Serve until there is a signal."""
        logging.getLogger("asyncio").setLevel(SILENT)
        self.uvicorn.run([self.socket])


@final
class Answers:
    """The answers to requests that the guard has admitted.

    One request at a time is computed in a thread, while the server continues to listen.
    """

    def __init__(self, model: TrainedModel, scene: Scene, test: NamedSplit | None) -> None:
        self.model = model
        self.test = test
        self.page = make_document(scene.title, scene.facts(), LINK)
        self.worker = ThreadPoolExecutor(1)

    def application(self) -> Starlette:
        """The routes."""
        routes = [
            Route("/", self.root),
            Route("/items/{index}", self.item),
            Route("/encode", self.encode, methods=["POST"]),
            WebSocketRoute("/decode", self.decode),
        ]
        return Starlette(routes=routes, max_body_size=MAX_BYTES)

    async def _work(self, function: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.worker, function, *arguments)

    async def root(self, _: Request) -> Response:
        """The page."""
        return HTMLResponse(self.page)

    async def item(self, request: Request) -> Response:
        """A test item as bytes."""
        name = request.path_params["index"]
        content = await self._work(read_item, name, self.test, self.model)
        if content is None:
            return PlainTextResponse("There is no such test item.", 404)
        return Response(content, 200, None, "application/octet-stream")

    async def encode(self, request: Request) -> Response:
        """The latent of a picture file, and the picture as the model sees it."""
        content, query = await request.body(), request.query_params
        invert, told = "invert" in query, parse_told(query.get("told", ""), self.model)
        if told is None:
            return PlainTextResponse("The model cannot be told this.", 400)
        try:
            answer = await self._work(encode_upload, self.model, content, invert, told)
        except UsageError as error:
            return PlainTextResponse(str(error), 400)
        return JSONResponse(answer)

    async def decode(self, websocket: WebSocket) -> None:
        """Decode latents until the page is closed."""
        await websocket.accept()
        with suppress(WebSocketDisconnect):  # the page was closed during the computation
            async for message in _messages(websocket):
                position = parse_position(message, self.model)
                if position is None:
                    await websocket.close(INVALID_MESSAGE)
                    break
                await websocket.send_bytes(await self._work(decode_to_bytes, self.model, position))


async def _messages(websocket: WebSocket) -> AsyncIterator[bytes]:
    """The messages until the page is closed; a text counts as an empty message."""
    while (event := await websocket.receive())["type"] == "websocket.receive":
        yield event.get("bytes") or b""


def position_size(model: TrainedModel) -> int:
    """How many numbers a position has: D of the latent, and C of the condition."""
    return model.model.latent_dim + len(model.spec.condition)


def parse_position(message: bytes, model: TrainedModel) -> np.ndarray | None:
    """Little-endian float32 `(D + C,)`, or None if the message is no position of the model."""
    if len(message) != 4 * position_size(model):
        return None
    position = np.frombuffer(message, "<f4")
    z, told = split_position(model, position)
    is_known = told is None or can_be_told(model, told)
    return position if is_known and np.isfinite(z).all() else None


def parse_told(text: str, model: TrainedModel) -> np.ndarray | None:
    """A condition `(1, C)` from base64, or None if it is none of the model."""
    try:
        told = np.array(np.frombuffer(base64.b64decode(text, validate=True), "<f4"))[None]
    except ValueError:
        return None
    is_right = told.shape[1] == len(model.spec.condition) and can_be_told(model, told)
    return told if is_right else None


def can_be_told(model: TrainedModel, told: np.ndarray) -> bool:
    """Whether a model can be told a condition `(1, C)`."""
    if np.isinf(told).any():
        return False
    try:
        model.condition(told if told.size else None, 1)
    except UsageError:
        return False
    return True


def read_item(name: str, test: NamedSplit | None, model: TrainedModel) -> bytes | None:
    """The test item with a number; None if there is none."""
    if test is None or not re.fullmatch("[0-9]{1,9}", name) or int(name) >= len(test):
        return None
    return item_to_bytes(model.spec, test.split.items_at([int(name)]))


def encode_upload(
    model: TrainedModel, content: bytes, invert: bool, told: np.ndarray
) -> dict[str, Any]:
    """The latent of a picture file, and the picture as the model sees it.

    Raises:
        UsageError: it is too large, damaged or not a picture.
    """
    spec = model.spec
    if not spec.is_image:
        raise UsageError(f"{spec.name} is a table")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture")
        path.write_bytes(content)
        try:
            picture = read_picture(path, Fitting.of(spec, invert=invert))
        except UsageError as error:
            raise UsageError(str(error).replace(str(path), "The picture")) from error
    pixels, expected = to_unit_interval(picture.pixels[None]), expected_border(spec)
    return {
        "latent": model.latents(pixels, told if told.size else None)[0].tolist(),
        "pixels": list(item_to_bytes(spec, pixels)),
        "negative": expected is not None and picture.looks_inverted(expected),
    }
