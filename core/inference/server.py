"""The chat engine's process: `python -m core.inference.server`, OpenAI's protocol on loopback, its key on standard input.

It ends by itself when nobody has asked anything for a while, and all its memory with it.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict

import transformers
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from core import home
from core.files import read_json, write_whole
from core.inference.api import IN_WORDS, ROUTES
from core.inference.engine import Engine
from core.inference.guard import Activity, Guard
from core.jobs import process

IDLE_S = 600.0


def application(key: str, port: int, idle_s: float) -> Starlette:
    """The engine behind its door; it announces itself when it is ready to answer."""
    activity = Activity()

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        _announce(port)
        idle = asyncio.create_task(_end_when_idle(activity, idle_s))
        yield
        idle.cancel()
        _withdraw()

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Guard, key=key, activity=activity)],
        exception_handlers=IN_WORDS,
        lifespan=life,
    )
    app.state.engine = Engine()
    app.state.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")  # one at a time, others wait
    return app


def _announce(port: int) -> None:
    """Say where this process listens. The key stays in memory."""
    write_whole(home.engine_file(), json.dumps(asdict(process.born(os.getpid())) | {"port": port}))


def _withdraw() -> None:
    if (read_json(home.engine_file()) or {}).get("pid") == os.getpid():
        home.engine_file().unlink(missing_ok=True)


async def _end_when_idle(activity: Activity, idle_s: float) -> None:
    while activity.idle_s < idle_s:
        await asyncio.sleep(max(0.05, idle_s - activity.idle_s))
    signal.raise_signal(signal.SIGTERM)  # the way out that uvicorn knows


def main(idle_s: float) -> None:
    key = sys.stdin.readline().strip()
    if not key:
        sys.exit("The chat engine needs its key as the first line of standard input.")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        app = application(key, listening.getsockname()[1], idle_s)
        settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
        uvicorn.Server(settings).run(sockets=[listening])


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--idle-seconds", type=float, default=IDLE_S, help="end after so long without a request")
    main(arguments.parse_args().idle_seconds)
