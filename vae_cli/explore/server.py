"""The page from a server on this machine, for this person alone.

It listens on 127.0.0.1. Who asks must know the token in the page's address, name this server as the
host, and come from no other page: anything else gets 403, on HTTP and WebSocket alike. So no other
user of the machine, no page that is open in the same browser, and no name that someone points at
127.0.0.1 (DNS rebinding) reaches it.

GET  /            the page
GET  /items/17    a test item
POST /encode      a picture's file; its latent and how the model sees it
     /decode      WebSocket: a latent as float32 for an item as bytes
"""

import asyncio
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

from vae_cli import images
from vae_cli.data import Split, gather, unit_interval
from vae_cli.errors import UsageError, VAEError
from vae_cli.explore.document import document
from vae_cli.explore.frames import frame
from vae_cli.explore.scene import Scene, Space

ADDRESS = "127.0.0.1"
LINK = "server.js"
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
T = TypeVar("T")

NOT_A_LATENT = 1007  # WebSocket's code for a message that is not what it should be


@final
class Guard:
    """Lets through who knows the token, and was not sent by another page."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app = app
        self.token = token.encode()
        self.hosts = {f"{name}:{port}".encode() for name in (ADDRESS, "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if self.admits(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: 403
        else:
            text = "The token is missing or old: open the whole address that vae explore printed."
            await PlainTextResponse(text, 403, HEADERS)(scope, receive, send)

    def admits(self, scope: Scope) -> bool:
        """Whether host, origin and token are right, each given once."""
        given = [(name, value) for name, value in scope["headers"] if name in {b"host", b"origin"}]
        hosts = [value for name, value in given if name == b"host"]
        origins = [value for name, value in given if name == b"origin"]
        tokens = QueryParams(scope["query_string"]).getlist("token")
        if len(hosts) != 1 or hosts[0] not in self.hosts or len(tokens) != 1:
            return False
        from_us = origins == [b"http://" + hosts[0]]
        navigates = not origins and scope["type"] == "http"
        return (from_us or navigates) and secrets.compare_digest(tokens[0].encode(), self.token)


@final
class Server:
    """The page, on a port of this machine.

    Args:
        space: the model.
        scene: what the page shows besides the picture.
        split: the test set, or None.
        port: 0 is any that is free.

    Raises:
        VAEError: the port is taken.
    """

    def __init__(self, space: Space, scene: Scene, split: Split | None, port: int = 0) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.socket.bind((ADDRESS, port))
        except OSError as error:
            raise VAEError(f"port {port} cannot be used: {error.strerror}") from error
        self.socket.listen()
        self.port: int = self.socket.getsockname()[1]
        self.token = secrets.token_urlsafe(16)
        guard = Guard(Answers(space, scene, split).application(), self.token, self.port)
        options: dict[str, Any] = {
            "log_config": None,
            "log_level": "critical",  # what a stranger sends is answered, not printed
            "server_header": False,
            "lifespan": "off",
            "ws": "websockets-sansio",
            "ws_max_size": 8 * space.model.latent_dim + 1024,
            "ws_per_message_deflate": False,
            "timeout_graceful_shutdown": 1,
        }
        self.uvicorn = uvicorn.Server(uvicorn.Config(guard, **options))

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.port}/?token={self.token}"

    def run(self) -> None:
        """Serve until a signal comes."""
        self.uvicorn.run([self.socket])


@final
class Answers:
    """What the page asks for, for whoever may ask.

    One thing is worked on at a time, in a thread, while the server goes on listening.
    """

    def __init__(self, space: Space, scene: Scene, split: Split | None) -> None:
        self.space = space
        self.split = split
        self.page = document(scene.title, scene.facts(), LINK)
        self.worker = ThreadPoolExecutor(1)

    def application(self) -> Starlette:
        """The routes."""
        routes = [
            Route("/", self.root),
            Route("/items/{index}", self.item),
            Route("/encode", self.encode, methods=["POST"]),
            WebSocketRoute("/decode", self.decode),
        ]
        return Starlette(routes=routes, max_body_size=images.MAX_BYTES)

    async def _work(self, function: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.worker, function, *arguments)

    async def root(self, _: Request) -> Response:
        """The page."""
        return HTMLResponse(self.page, headers=HEADERS)

    async def item(self, request: Request) -> Response:
        """A test item as bytes."""
        name = request.path_params["index"]
        content = await self._work(original, name, self.split, self.space)
        if content is None:
            return PlainTextResponse("There is no such test item.", 404, HEADERS)
        return Response(content, 200, HEADERS, "application/octet-stream")

    async def encode(self, request: Request) -> Response:
        """A picture's file: its latent, and how the model sees it."""
        content, invert = await request.body(), "invert" in request.query_params
        try:
            answer = await self._work(seen, self.space, content, invert)
        except UsageError as error:
            return PlainTextResponse(str(error), 400, HEADERS)
        return JSONResponse(answer, 200, HEADERS)

    async def decode(self, websocket: WebSocket) -> None:
        """Latents for items, until the page is closed."""
        await websocket.accept()
        with suppress(WebSocketDisconnect):  # it was closed while it was waiting
            async for message in _messages(websocket):
                z = latent(message, self.space.model.latent_dim)
                if z is None:
                    await websocket.close(NOT_A_LATENT)
                    break
                await websocket.send_bytes(await self._work(decoded, self.space, z))


async def _messages(websocket: WebSocket) -> AsyncIterator[bytes]:
    """What comes, until the page is closed; a text counts as an empty message."""
    while (event := await websocket.receive())["type"] == "websocket.receive":
        yield event.get("bytes") or b""


def latent(message: bytes, depth: int) -> np.ndarray | None:
    """Little-endian float32 `(D,)`, or None if it is not that many finite numbers."""
    if len(message) != 4 * depth:
        return None
    z = np.frombuffer(message, "<f4")
    return z if np.isfinite(z).all() else None


def decoded(space: Space, z: np.ndarray) -> bytes:
    """The item at a latent `(D,)`."""
    return frame(space.decode(z), space.spec)


def original(name: str, split: Split | None, space: Space) -> bytes | None:
    """The test item of that number; None if there is none."""
    if split is None or not re.fullmatch("[0-9]{1,9}", name) or int(name) >= len(split):
        return None
    return frame(gather(split.items, split.rows[[int(name)]]), space.spec)


def seen(space: Space, content: bytes, invert: bool) -> dict[str, Any]:
    """A picture's file as the model sees it, and its latent.

    Raises:
        UsageError: it is beyond the limits, damaged or not a picture.
    """
    spec = space.spec
    if not spec.is_image:
        raise UsageError(f"{spec.name} is a table")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture")
        path.write_bytes(content)
        try:
            picture = images.read(
                path, spec.shape, background=spec.background, invert=invert, crop=spec.cropped
            )
        except UsageError as error:
            raise UsageError(str(error).replace(str(path), "The picture")) from error
    pixels = unit_interval(picture.pixels[None])
    return {
        "latent": space.encode(pixels)[0][0].tolist(),
        "pixels": list(frame(pixels, spec)),
        "negative": not spec.cropped and picture.looks_inverted(spec.background),
    }
