"""What can go wrong between a client and the local Hub: errors, silence, a slow line, a line that is cut."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import JSONResponse

Receive = Callable[[], Awaitable[dict]]
Send = Callable[[dict], Awaitable[None]]
HangUp = Callable[[], None]


@dataclass
class Trouble:
    """What the requests meet whose path contains `where`: the next `times` of them, or all while it lasts."""

    where: str = "/"
    method: str | None = None
    times: int | None = None
    status: int | None = None  # answered at once
    delay_s: float = 0  # before the answer
    bytes_per_s: float | None = None  # contents in both directions
    cut_after: int | None = None  # bytes of contents in either direction, then the connection is gone

    def meets(self, scope: dict) -> bool:
        """Whether it applies to this request, which then counts."""
        here = self.where in scope["path"] and self.method in (None, scope["method"]) and self.times != 0
        if here and self.times:
            self.times -= 1
        return here

    def refusal(self) -> JSONResponse:
        """The answer with its status; 401 is that of a token which is no longer accepted."""
        said = {401: "Invalid credentials in Authorization header", 429: "Too many requests."}
        message = said.get(self.status or 0, "Injected failure.")
        return JSONResponse({"error": message}, self.status or 500, headers={"X-Error-Message": message})

    def receiving(self, receive: Receive, hang_up: HangUp) -> Receive:
        """What the client sends, as this trouble lets it through."""
        line = _Line(self, hang_up)

        async def received() -> dict:
            message = await receive()
            await line.pass_time(len(message.get("body", b"")))
            line.carry(len(message.get("body", b"")))
            return message

        return received

    def sending(self, send: Send, hang_up: HangUp) -> Send:
        """What the client is sent, as this trouble lets it through."""
        line = _Line(self, hang_up)

        async def sent(message: dict) -> None:
            body = message.get("body", b"")
            await line.pass_time(len(body))
            if self.cut_after is not None and line.carried + len(body) > self.cut_after:
                await send(message | {"body": body[: self.cut_after - line.carried], "more_body": True})
            else:
                await send(message)
            line.carry(len(body))

        return sent


class _Line:
    """One direction of a connection: how much it has carried, how fast, and when it breaks."""

    def __init__(self, trouble: Trouble, hang_up: HangUp):
        self.trouble, self.carried, self._hang_up = trouble, 0, hang_up

    async def pass_time(self, size: int) -> None:
        if self.trouble.bytes_per_s:
            await asyncio.sleep(size / self.trouble.bytes_per_s)

    def carry(self, size: int) -> None:
        self.carried += size
        if self.trouble.cut_after is not None and self.carried > self.trouble.cut_after:
            self._hang_up()
            raise asyncio.CancelledError("the line was cut")
