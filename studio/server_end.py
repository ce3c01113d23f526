"""When the server is told to end. It tells an app only after its last request, and one that waits for news would keep it up."""

import asyncio
import signal
from collections.abc import Callable


def when_told_to_end(then: Callable[[], None]) -> None:
    """Let this be called in the running loop on Ctrl-C or SIGTERM, after what the server itself does then."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        _also(number, lambda: loop.call_soon_threadsafe(then))


def _also(number: signal.Signals, then: Callable[[], object]) -> None:
    before = signal.getsignal(number)

    def both(*how) -> None:
        before(*how)
        then()

    signal.signal(number, both)
