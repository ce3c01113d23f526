"""The door of the chat engine: it opens to the key, and remembers when somebody last came."""

import hmac
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from core.hub.asker import HEADER, asking_with
from core.inference.protocol import error_body


class Activity:
    """How long nobody has been here."""

    def __init__(self) -> None:
        self._inside = 0
        self._last = time.monotonic()

    @property
    def visitors(self) -> int:
        return self._inside

    @property
    def idle_s(self) -> float:
        return 0.0 if self._inside else time.monotonic() - self._last

    @contextmanager
    def visit(self) -> Iterator[None]:
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._last = time.monotonic()


class Guard:
    """ASGI middleware: without `Authorization: Bearer KEY` there is a 401, whatever was asked for.

    Who asks may bring a token of their own for the Hub; it is used for this request alone.
    """

    def __init__(self, app: ASGIApp, key: str, activity: Activity):
        self.app = app
        self.expected = f"Bearer {key}".encode()
        self.activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif hmac.compare_digest(_header(scope, "authorization"), self.expected):
            with self.activity.visit(), asking_with(_header(scope, HEADER).decode() or None):
                await self.app(scope, receive, send)
        else:
            message = "This is not the engine's key. Only the studio that started the engine knows it."
            refusal = JSONResponse(error_body(message, 401, "invalid_api_key"), 401)
            await refusal(scope, receive, send)


def _header(scope: Scope, name: str) -> bytes:
    return dict(scope["headers"]).get(name.lower().encode(), b"")
