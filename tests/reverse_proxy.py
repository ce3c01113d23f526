"""A reverse proxy in front of a studio, as people have one: another name, a path before it, with and without websockets."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tools.browser import free_port

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"}


@dataclass
class Proxy:
    """Where it stands (`name` is mapped to this machine in tools/browser.py), and what it does with a request."""

    name: str
    port: int
    to: int  # the studio's port
    prefix: str = ""  # the path before every page, as `/user/me/proxy/8501`
    strips_prefix: bool = True
    keeps_host: bool = True  # else the studio reads its own address as the host, as nginx does where nothing is said
    websockets: bool = True
    drops: bool = False  # websockets open, and end before anything is said
    certificate: tuple[Path, Path] | None = None  # certificate and key: then it speaks https

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://{self.name}:{self.port}{self.prefix}"

    def path(self, asked: str) -> str:
        return asked.removeprefix(self.prefix) if self.strips_prefix else asked

    def host(self, asked: str) -> str:
        return asked if self.keeps_host else f"127.0.0.1:{self.to}"


@contextmanager
def proxied(to: int, name: str = "team.test", **how) -> Iterator[Proxy]:
    """Serve until the block ends."""
    proxy = Proxy(name, how.pop("port", None) or free_port(), to, **how)
    tls = dict(zip(("ssl_certfile", "ssl_keyfile"), map(str, proxy.certificate or ()), strict=False))
    server = uvicorn.Server(
        uvicorn.Config(_app(proxy), port=proxy.port, log_level="critical", timeout_graceful_shutdown=1, **tls)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield proxy
    server.should_exit = True
    thread.join()


def _app(proxy: Proxy) -> Starlette:
    @asynccontextmanager
    async def transport(app: Starlette) -> AsyncIterator[dict]:
        async with httpx2.AsyncHTTPTransport() as opened:  # a client would give one visitor's cookies to the next
            yield {"transport": opened}

    async def http(request: Request) -> Response:
        return await _passed_on(proxy, request)

    async def stream(socket: WebSocket) -> None:
        await (_joined(proxy, socket) if proxy.websockets else socket.close())

    return Starlette(
        routes=[Route("/{path:path}", http, methods=METHODS), WebSocketRoute("/{path:path}", stream)],
        lifespan=transport,
    )


async def _passed_on(proxy: Proxy, request: Request) -> Response:
    if not request.url.path.startswith(proxy.prefix):
        return Response(status_code=404)
    headers = [(name, value) for name, value in request.headers.items() if name not in HOP_BY_HOP | {"host"}]
    headers.append(("host", proxy.host(request.headers["host"])))
    url = f"http://127.0.0.1:{proxy.to}{proxy.path(request.url.path) or '/'}?{request.url.query}".removesuffix("?")
    asked = httpx2.Request(request.method, url, headers=headers, content=await request.body())
    answer = await request.state.transport.handle_async_request(asked)
    passed = StreamingResponse(answer.stream, answer.status_code, background=BackgroundTask(answer.aclose))
    passed.raw_headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() != b"connection"]
    return passed


async def _joined(proxy: Proxy, socket: WebSocket) -> None:
    """Both directions, until one side ends; a refusal is passed on."""
    if proxy.drops:
        await socket.accept(socket.scope["subprotocols"][0])
        return await socket.close()
    name, _, port = proxy.host(socket.headers["host"]).partition(":")
    try:
        inner = await websockets.connect(
            f"ws://{name}:{port or 80}{proxy.path(socket.url.path)}",
            host="127.0.0.1",
            port=proxy.to,
            origin=socket.headers.get("origin"),
            subprotocols=socket.scope["subprotocols"] or None,
            additional_headers={"Cookie": socket.headers.get("cookie", "")},
            max_size=None,
            proxy=None,
        )
    except websockets.InvalidStatus:
        return await socket.close()
    await socket.accept(subprotocol=inner.subprotocol)
    ways = [asyncio.create_task(_up(socket, inner)), asyncio.create_task(_down(socket, inner))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    await inner.close()
    for way in ways:
        way.cancel()


async def _up(socket: WebSocket, inner: websockets.ClientConnection) -> None:
    try:
        while True:
            await inner.send(await socket.receive_bytes())
    except (WebSocketDisconnect, websockets.ConnectionClosed):
        return


async def _down(socket: WebSocket, inner: websockets.ClientConnection) -> None:
    async for message in inner:
        await socket.send_bytes(message)
