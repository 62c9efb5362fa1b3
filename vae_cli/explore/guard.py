"""Who may speak to the server: this user's page, and nobody else on this machine.

A request must have the token from the page's address, name this server as its host, and not come
from another page. Any other request gets 403, over HTTP and over WebSocket. This keeps out other
users of the machine, other pages in the same browser, and host names that someone points at
127.0.0.1 (DNS rebinding).

Another user can still open connections and leave them idle. A process may have a limited number of
files and sockets, so connections without a correct request are limited in number and in time.
"""

import asyncio
import secrets
from typing import final

from starlette.datastructures import QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

ADDRESS = "127.0.0.1"
BACKLOG = 64  # connections that are accepted together: fewer than MAX_WAITING
MAX_WAITING = 128  # connections without a correct request
MAX_SECONDS = 10.0  # until the first correct request of a connection

Client = tuple[str, int]  # address and port


@final
class Guard:
    """Admits requests that have the token and do not come from another page."""

    def __init__(self, app: ASGIApp, token: str, port: int, waiting: "Waiting") -> None:
        self.app = app
        self.token = token.encode()
        self.hosts = {f"{name}:{port}".encode() for name in (ADDRESS, "localhost")}
        self.waiting = waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if self.admits(scope):
            self.waiting.remove(scope["client"])
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
class Waiting:
    """The connections that have not sent a correct request yet, the oldest first."""

    def __init__(self) -> None:
        self.connections: dict[Client, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}

    def add(self, transport: asyncio.Transport) -> None:
        """Add a new connection. If there are too many now, the oldest is closed."""
        client: Client = transport.get_extra_info("peername")
        self.remove(client)  # an earlier connection from this port has ended
        timer = asyncio.get_running_loop().call_later(MAX_SECONDS, self.close, client)
        self.connections[client] = transport, timer
        if len(self.connections) > MAX_WAITING:
            self.close(next(iter(self.connections)))

    def remove(self, client: Client) -> None:
        """A connection is not limited any more, if it was."""
        if client in self.connections:
            _, timer = self.connections.pop(client)
            timer.cancel()

    def close(self, client: Client) -> None:
        """Close a connection that waits."""
        transport, timer = self.connections.pop(client)
        timer.cancel()
        transport.abort()


def limited_protocol(waiting: Waiting) -> type[H11Protocol]:
    """Uvicorn's HTTP, with new connections added to those that wait."""

    @final
    class LimitedProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            waiting.add(transport)

    return LimitedProtocol
