"""A real studio in a real browser: the server as `make run` starts it, and headless Chromium in front of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from core.home import ROOT

# Without these, Chromium asks the internet for updates and components, and waits for answers that never come.
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--host-resolver-rules=MAP *.test 127.0.0.1",  # names of other machines, which are this one
]


def chromium() -> str | None:
    """The browser's path, or None where there is none."""
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium(), args=SWITCHES)
        try:
            yield found
        finally:
            found.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Studio:
    """The app as its own process, which can be killed and started again on the same home and port."""

    def __init__(
        self,
        home: Path,
        environment: dict[str, str] | None = None,
        log: Path | None = None,
        password: str | None = None,
    ):
        self.home, self.log = home, log
        self.environment = dict(os.environ if environment is None else environment)
        self.environment.pop("STUDIO_PASSWORD", None)  # of somebody's own studio, where it is set for the whole shell
        if password:
            self.environment["STUDIO_PASSWORD"] = password
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        environment = self.environment | {"STUDIO_HOME": str(self.home)}
        command = [sys.executable, "-m", "studio", str(self.port)]
        with (self.log or Path(os.devnull)).open("ab") as out:
            errors = out if self.log else None
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=errors)
        deadline = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the studio did not start")
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2) as response:
                return response.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def kill(self) -> None:
        """As the system's out-of-memory killer would: no time for last words."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@contextmanager
def studio(
    home: Path, environment: dict[str, str] | None = None, log: Path | None = None, password: str | None = None
) -> Iterator[Studio]:
    """Serve until the block ends; with another environment than this process's, its words in a file, a door, if asked."""
    running = Studio(home, environment, log, password)
    running.start()
    try:
        yield running
    finally:
        running.kill()
