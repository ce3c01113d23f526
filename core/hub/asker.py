"""On whose behalf the Hub is asked, where one process answers several: in the chat engine each request brings its tab's token."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "X-Hub-Token"

_token: ContextVar[str | None] = ContextVar("token of the one who asks", default=None)


def asking_token() -> str | None:
    """The token to ask with; None for this machine's own."""
    return _token.get()


@contextmanager
def asking_with(token: str | None) -> Iterator[None]:
    """Inside, and in the threads that are started from here with this context, the Hub is asked with this token."""
    before = _token.set(token)
    try:
        yield
    finally:
        _token.reset(before)
