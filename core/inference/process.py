"""Start, find and end the chat engine. Its key lives in this app's memory alone; torch never comes here."""

import os
import secrets
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import httpx2
from filelock import FileLock, Timeout

from core import home
from core.errors import EngineError
from core.files import read_json
from core.hardware import machine
from core.hub.asker import HEADER
from core.jobs import process
from core.models import compiler

START_WITHIN_S = 180.0
END_WITHIN_S = 6.0
IDLE_S = 600.0
# The engine speaks plain HTTP on loopback. Without this each request would first read all certificates there are, 25 ms.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# Memory that a model leaves goes back to the system: its large blocks lie alone, the small ones of all threads together.
# After four comparisons with an unloading after each the engine held 3 MB more than after the first; without it, 15.
# glibc reads it as the process begins; others ignore it.
APART = "glibc.malloc.mmap_threshold=1048576:glibc.malloc.arena_max=1"


@dataclass(frozen=True)
class Engine:
    """Where the engine answers, and the key that opens it; perhaps a token with which it asks the Hub for this caller."""

    url: str
    key: str = field(repr=False)
    pid: int
    hub_token: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} | ({HEADER: self.hub_token} if self.hub_token else {})

    def asking_with(self, hub_token: str | None) -> "Engine":
        """The same engine, asked on behalf of another account than this machine's."""
        return replace(self, hub_token=hub_token)

    def client(self, patience: httpx2.Timeout) -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url, headers=self.headers, timeout=patience, trust_env=False, verify=NO_CERTIFICATES
        )


_known: Engine | None = None
_child: subprocess.Popen | None = None


def engine() -> Engine:
    """The engine of this app, started if need be; blocks until it answers. Raises EngineError."""
    with _one_at_a_time():
        found = running()
        return found if found and _answers(found) else _start()


def running() -> Engine | None:
    """The engine that this app started, if it is alive."""
    here = _birth()
    return _known if _known and here and here.pid == _known.pid and here.alive else None


def stop() -> None:
    """End the engine, whoever started it; its memory is free when this returns."""
    with _one_at_a_time():
        _end()


def stop_own() -> None:
    """End the engine that this process started, if it still lives; what another one has started since is left alone."""
    with _one_at_a_time():
        if _child and _child.poll() is None:
            _end()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two tabs are two threads of one app, the command line is another process: one of them starts the engine."""
    home.home().mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(home.engine_file().with_suffix(".lock")).acquire(timeout=START_WITHIN_S)
    except Timeout:
        raise EngineError("The chat engine is being started elsewhere and does not get on. Try again.") from None
    with lock:
        yield


def _start() -> Engine:
    """Start an engine with a fresh key, after ending an old one: nobody here could open that."""
    global _known, _child
    _end()
    key = secrets.token_urlsafe(32)
    _child = _launch(key)
    _known = Engine(f"http://127.0.0.1:{_port_of(_child)}", key, _child.pid)
    return _known


def _launch(key: str) -> subprocess.Popen:
    """The process, with the key on its standard input: arguments and environment can be read by others."""
    unless_set = {"GLIBC_TUNABLES": APART} | compiler.surroundings(machine(home.home()).device)
    environment = unless_set | os.environ | {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
    with home.engine_log().open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "core.inference.server", "--idle-seconds", str(IDLE_S)],
            cwd=home.ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # An engine that ended at once cannot be told anything; `_port_of` says why it did.
    with suppress(BrokenPipeError), child.stdin:
        child.stdin.write(f"{key}\n".encode())
    return child


def _port_of(child: subprocess.Popen) -> int:
    """The port, as soon as the engine has announced itself; raises EngineError with the reason if it never does."""
    deadline = time.monotonic() + START_WITHIN_S
    while child.poll() is None and time.monotonic() < deadline:
        values = read_json(home.engine_file()) or {}
        if values.get("pid") == child.pid:
            return int(values["port"])
        time.sleep(0.05)
    if child.poll() is None:
        _kill(child)
    raise EngineError(f"The chat engine did not start: {_last_words()} The log is {home.engine_log()}.")


def _kill(child: subprocess.Popen) -> None:
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _last_words() -> str:
    lines = home.engine_log().read_text(encoding="utf-8", errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _answers(found: Engine) -> bool:
    """Whether the engine is well; being asked also keeps it from ending as idle a moment later."""
    try:
        with found.client(httpx2.Timeout(60)) as client:
            return client.get("/v1/engine").is_success
    except httpx2.TransportError:
        return False


def _birth() -> process.Birth | None:
    return process.read(home.engine_file())


def _end() -> None:
    global _known
    _known = None
    if old := _birth():
        old.signal(signal.SIGTERM)
        _wait_for_the_end_of(old)
        old.kill()
        _wait_for_the_end_of(old)
    home.engine_file().unlink(missing_ok=True)
    if _child and _child.poll() is None:  # which also takes a dead one off the list of processes
        _kill(_child)  # Ctrl-C came before it had announced itself


def _wait_for_the_end_of(old: process.Birth) -> None:
    deadline = time.monotonic() + END_WITHIN_S
    while old.alive and time.monotonic() < deadline:
        time.sleep(0.05)
