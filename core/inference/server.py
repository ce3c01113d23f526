"""The chat engine's process: `python -m core.inference.server`, OpenAI's protocol on loopback, its key on standard input.

It ends by itself when nobody has asked anything for a while, and all its memory with it.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass

import transformers
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from core import home
from core.errors import EngineError
from core.files import read_json, write_whole
from core.inference import renewal
from core.inference.api import IN_WORDS, ROUTES
from core.inference.engine import Engine
from core.inference.guard import Activity, Guard
from core.inference.warm import warm_up
from core.jobs import process
from core.models import crowd

IDLE_S = 600.0
UNASKED_S = 1.0


@dataclass
class Life:
    """One of an engine's lives: its number, and whether another one follows it."""

    number: int
    activity: Activity
    server: uvicorn.Server | None = None
    another: bool = False

    def ends_here(self) -> bool:
        """End it, to begin anew; not where others than the one who asks would be cut off."""
        self.another = renewal.possible() and self.activity.visitors == 1 and self.server is not None
        if self.another:
            self.server.should_exit = True
        return self.another


def application(key: str, port: int, idle_s: float | None, life_number: int = 1) -> Starlette:
    """The engine behind its door. The app's engine announces itself, and ends when idle; without `idle_s` it does neither."""
    activity = Activity()
    own = Life(life_number, activity)

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm_up_when_idle(app, activity))
        if idle_s is None:
            yield
        else:
            _announce(port)
            idle = asyncio.create_task(_end_when_idle(activity, idle_s))
            yield
            idle.cancel()
            if not own.another:
                _withdraw()
        warming.cancel()

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Guard, key=key, activity=activity)],
        exception_handlers=IN_WORDS,
        lifespan=life,
    )
    app.state.engine, app.state.life = Engine(), own
    app.state.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")  # all take turns in it
    return app


def _announce(port: int) -> None:
    """Say where this process listens. The key stays in memory."""
    write_whole(home.engine_file(), json.dumps(asdict(process.born(os.getpid())) | {"port": port}))


def _withdraw() -> None:
    if (read_json(home.engine_file()) or {}).get("pid") == os.getpid():
        home.engine_file().unlink(missing_ok=True)


async def _warm_up_when_idle(app: Starlette, activity: Activity) -> None:
    """Where the first question does not come at once; it would only wait for it, and then need none of it."""
    await asyncio.sleep(UNASKED_S)
    if activity.idle_s and not app.state.engine.weights.found:
        app.state.pool.submit(warm_up).add_done_callback(Future.result)  # what fails there is in the log


async def _end_when_idle(activity: Activity, idle_s: float) -> None:
    while activity.idle_s < idle_s:
        await asyncio.sleep(max(0.05, idle_s - activity.idle_s))
    signal.raise_signal(signal.SIGTERM)  # the way out that uvicorn knows


def main(asked: argparse.Namespace) -> None:
    """The app's engine, on any free port; or whichever engine it was that begins anew."""
    key = sys.stdin.readline().strip()
    if not key:
        sys.exit("The chat engine needs its key as the first line of standard input.")
    listening = socket.socket(fileno=asked.listening) if asked.listening else socket.create_server(("127.0.0.1", 0))
    with listening:
        _run(listening, key, None if asked.for_others else asked.idle_seconds, asked.life)


def serve(port: int, told: Callable[[str, str], None]) -> None:
    """A server for other tools, in the foreground until Ctrl-C; `told` gets its address and key. Raises EngineError.

    It is another one than the app's engine: the app can neither use nor end it.
    """
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise EngineError(f"Port {port} cannot be used: {error.strerror}. Choose another with --port.") from None
    with listening:
        key = secrets.token_urlsafe(32)
        told(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", key)
        _run(listening, key, None)


def _run(listening: socket.socket, key: str, idle_s: float | None, life: int = 1) -> None:
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # uvicorn sets this only on listeners of its own; without it an answer may wait 40 ms for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    app = application(key, listening.getsockname()[1], idle_s, life)
    if app.state.engine.weights.device == "cpu":
        crowd.watch()
    heir = renewal.heir_of(listening)
    settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    app.state.life.server = uvicorn.Server(settings)
    app.state.life.server.run(sockets=[listening])
    if app.state.life.another:
        kind = ["--for-others"] if idle_s is None else ["--idle-seconds", str(idle_s)]
        renewal.begin_anew(heir, key, [*kind, "--life", str(life + 1)])


def _arguments() -> argparse.Namespace:
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("--idle-seconds", type=float, default=IDLE_S, help="end after so long without a request")
    found.add_argument("--listening", type=int, help="the number of an open port, of an engine that begins anew")
    found.add_argument("--life", type=int, default=1, help="how often it has begun")
    found.add_argument("--for-others", action="store_true", help="not the app's: it neither announces itself nor ends")
    return found.parse_args()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(_arguments())
