"""The stream between page and app, over plain requests: some proxies, Colab's own among them, let no websocket through.

The page's side is `stream.js`, which comes here only after a websocket has failed. `POST` opens a line and gets its key;
`GET key?from=N` waits for what the app says from message N on, or with `&now`, of a hidden page, does not; `POST key?number=N`
is what the page says. Both ends count, so that a request which was lost on the way can be made again. Streamlit sees a websocket.
"""

import asyncio
import secrets
import time
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.logo import FOLDER
from studio.server_end import when_told_to_end

STREAM = "/_stcore/stream"
PATH = STREAM + "-by-http"
WAIT_S = 20  # proxies end a request that says nothing for long
GONE_S = 150  # a page that has not asked for so long is closed; a browser lets a hidden one ask once a minute
FRESH = {"cache-control": "no-store"}


class StreamByHttp:
    """The middleware for `st.App`."""

    def __init__(self, app: ASGIApp):
        self.app = app
        self.lines: dict[str, _Line] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            when_told_to_end(self._hang_up)
        before, found, key = scope["path"].partition(PATH) if scope["type"] == "http" else ("", "", "")
        if not found:
            return await self.app(scope, receive, send)
        request = Request(scope, receive)
        answer = await self._said(request, key.strip("/")) if key else await self._opened(request, before + STREAM)
        await answer(scope, receive, send)

    async def _opened(self, request: Request, path: str) -> Response:
        if request.method != "POST":
            return Response(status_code=405)
        line = _Line()
        line.task = asyncio.create_task(self._run(line, _as_websocket(request.scope, path)))
        await line.news.wait()
        if not line.accepted:
            return Response(status_code=403, headers=FRESH)
        return Response(line.key, headers=FRESH)

    def _hang_up(self) -> None:
        for line in self.lines.values():
            line.hang_up()

    async def _run(self, line: "_Line", scope: Scope) -> None:
        self.lines[line.key] = line
        try:
            await self.app(scope, line.receive, line.send)
        finally:
            line.close()
            self.lines.pop(line.key, None)

    async def _said(self, request: Request, key: str) -> Response:
        line = self.lines.get(key)
        if line is None:
            return Response(status_code=410, headers=FRESH)
        numbers = request.query_params
        if request.method == "GET":
            return Response(await line.from_number(_number(numbers.get("from")), "now" in numbers), headers=FRESH)
        if "close" in numbers:
            line.hang_up()
        else:
            line.hear(_number(numbers.get("number")), await request.body())
        return Response(status_code=204, headers=FRESH)


class _Line:
    """One page: what the app says to it, kept until it has arrived, and what it says to the app."""

    def __init__(self):
        self.key = secrets.token_urlsafe(32)
        self.task: asyncio.Task | None = None
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self.heard.put_nowait({"type": "websocket.connect"})
        self.next_heard = 0
        self.said: list[bytes] = []
        self.first_said = 0  # its number
        self.accepted = self.closed = False
        self.news = asyncio.Event()
        self.asked_at = time.monotonic()

    async def receive(self) -> Message:
        """For Streamlit: what the page says next, or that it has gone."""
        while True:
            try:
                return await asyncio.wait_for(self.heard.get(), WAIT_S)
            except TimeoutError:
                if time.monotonic() - self.asked_at > GONE_S:
                    self.hang_up()

    async def send(self, message: Message) -> None:
        """For Streamlit: to the page, when it asks."""
        if message["type"] == "websocket.accept":
            self.accepted = True
        elif message["type"] == "websocket.send":
            self.said.append(message["bytes"])
        else:
            self.closed = True
        self.news.set()

    def hear(self, number: int, content: bytes) -> None:
        """Pass on what the page says, once."""
        if number == self.next_heard:
            self.next_heard += 1
            self.heard.put_nowait({"type": "websocket.receive", "bytes": content})

    def hang_up(self) -> None:
        self.heard.put_nowait({"type": "websocket.disconnect", "code": 1001})

    def close(self) -> None:
        self.closed = True
        self.news.set()

    async def from_number(self, number: int, now: bool) -> bytes:
        """What was said from there on, each after its length in four bytes; what was said before has arrived."""
        self.asked_at = time.monotonic()
        del self.said[: max(0, number - self.first_said)]
        self.first_said = max(number, self.first_said)
        if not self.said and not self.closed and not now:
            self.news.clear()
            await self._news()
        return b"".join(self._framed())

    async def _news(self) -> None:
        try:
            await asyncio.wait_for(self.news.wait(), WAIT_S)
        except TimeoutError:
            return

    def _framed(self) -> Iterator[bytes]:
        for message in self.said:
            yield len(message).to_bytes(4) + message


def _as_websocket(scope: Scope, path: str) -> Scope:
    """The request to open, as the websocket that the page could not have."""
    offered = Headers(scope=scope).get("x-stream-protocols", "")
    headers = [*scope["headers"], (b"sec-websocket-protocol", offered.encode())]
    changed = {"type": "websocket", "path": path, "raw_path": path.encode(), "headers": headers}
    return scope | changed | {"subprotocols": offered.split(", "), "state": {}}


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def script() -> str:
    """What the page runs first."""
    return (FOLDER / "stream.js").read_text(encoding="utf-8")
