"""Answers between two worlds: the thread that computes them and the event loop that sends them."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from core.errors import EngineError, StudioError

# So often a waiting client hears that it is not forgotten, and the engine notices that a client is gone.
SIGN_OF_LIFE_S = 1.0
# Words of so long go out together, but for the first: each departure takes time from the threads that compute, and the
# reader's program too where both share two cores.
GATHER_S = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class News:
    """Something new of one answer: more text, or its end, good or bad; and its tokens by now."""

    index: int
    tokens: int
    text: str = ""
    reason: str | None = None
    error: StudioError | None = None

    @property
    def last(self) -> bool:
        return self.reason is not None or self.error is not None


class Pane:
    """Listens to one of the answers, in the computing thread, and passes on what it hears; after an end nothing."""

    def __init__(self, index: int, cancelled: threading.Event, post: Callable[[News], None]):
        self.cancelled = cancelled
        self.index = index
        self.tokens = 0
        self.over = False
        self._post = post
        self._gathered = ""
        self._next_post = 0.0

    def say(self, text: str, tokens: int) -> None:
        self.tokens = tokens
        self._gathered += text
        if time.monotonic() >= self._next_post:
            self.pause()

    def pause(self) -> None:
        """Pass on what was gathered."""
        if self._gathered and not self.over:
            self._next_post = time.monotonic() + GATHER_S
            self._post(News(self.index, self.tokens, self._gathered))
            self._gathered = ""

    def finish(self, reason: str) -> None:
        self._end(News(self.index, self.tokens, reason=reason))

    def fail(self, error: StudioError) -> None:
        self._end(News(self.index, self.tokens, error=error))

    def _end(self, news: News) -> None:
        if not self.over:
            self.pause()
            self.over = True
            self._post(news)


class Work(Protocol):
    """Something to compute in turns, for some of the panes."""

    def turn(self) -> bool:
        """Compute for a moment; whether there is more to do."""

    def fail(self, error: StudioError) -> None:
        """Tell those who wait for it that it has failed."""


class Answering:
    """Lines up for the computing thread at once, and again after each turn, so that all who answer have theirs.

    Whoever made it reads `news` and calls `cancel` in the end, come what may.
    """

    def __init__(self, works: Callable[[list[Pane]], list[Work]], pool: Executor, count: int = 1):
        self._cancelled = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[News | None] = asyncio.Queue()
        self._pool = pool
        panes = [Pane(index, self._cancelled, self._post) for index in range(count)]
        todo = works(panes)
        self._left = len(todo)
        for work in todo:
            self._line_up(work)

    def _line_up(self, work: Work) -> None:
        self._pool.submit(work.turn).add_done_callback(partial(self._after, work))

    def _after(self, work: Work, turn: Future) -> None:
        """Whatever went wrong is told to those who still wait for an answer: it is their request that failed."""
        if error := turn.exception():
            work.fail(_in_words(error))
        elif turn.result():
            self._line_up(work)
            return
        self._left -= 1
        if not self._left:
            self._post(None)

    def _post(self, news: News | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.put_nowait, news)

    async def news(self) -> AsyncIterator[News | None]:
        """What is new, until all answers are over; None where nothing was for a second."""
        running = True
        while running:
            try:
                news = await asyncio.wait_for(self._news.get(), SIGN_OF_LIFE_S)
            except TimeoutError:
                yield None
                continue
            running = news is not None
            if news:
                yield news

    def cancel(self) -> None:
        """Nobody listens any more: do not begin, or end at the next token."""
        self._cancelled.set()


def _in_words(error: BaseException) -> StudioError:
    if isinstance(error, StudioError):
        return error
    log.error("An answer failed", exc_info=error)
    first_line = str(error).strip().split("\n")[0][:300]
    return EngineError(
        f"The model failed while answering ({type(error).__name__}: {first_line}). Try again; the engine's log has more."
    )
