"""One answer between two worlds: the thread that computes it and the event loop that sends it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor

from core.errors import EngineError, StudioError

# So often a waiting client hears that it is not forgotten, and the engine notices that a client is gone.
SIGN_OF_LIFE_S = 1.0

log = logging.getLogger(__name__)


class Answering:
    """Submits the computation at once; whoever made it reads `pieces` and calls `cancel` in the end, come what may."""

    def __init__(self, compute: Callable[["Answering"], str], pool: Executor):
        self.cancelled = threading.Event()
        self.tokens = 0
        self.reason: str | None = None
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[tuple[str, int] | None] = asyncio.Queue()
        self._result = pool.submit(compute, self)
        self._result.add_done_callback(lambda _: self._post(None))

    def say(self, text: str, tokens: int) -> None:
        """Called by the computing thread."""
        self._post((text, tokens))

    def _post(self, piece: tuple[str, int] | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    async def pieces(self) -> AsyncIterator[str]:
        """Text as it comes, and "" at least every second; raises StudioError where the computation failed."""
        while (piece := await self._next()) is not None:
            text, self.tokens = piece
            yield text
        if error := self._result.exception():
            raise _in_words(error) from error
        self.reason = self._result.result()

    async def _next(self) -> tuple[str, int] | None:
        try:
            return await asyncio.wait_for(self._pieces.get(), SIGN_OF_LIFE_S)
        except TimeoutError:
            return "", self.tokens

    def cancel(self) -> None:
        """Nobody listens any more: do not begin, or end at the next token."""
        self.cancelled.set()
        self._result.cancel()


def _in_words(error: BaseException) -> StudioError:
    if isinstance(error, StudioError):
        return error
    log.error("An answer failed", exc_info=error)
    first_line = str(error).strip().split("\n")[0][:300]
    return EngineError(
        f"The model failed while answering ({type(error).__name__}: {first_line}). Try again; the engine's log has more."
    )
