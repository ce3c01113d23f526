"""Is it still the process that was started? A pid alone may have been given to another; pid and birth time are not."""

import json
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from core.files import read_json, write_whole

# A worker needs a moment between the making of its folder and its birth.
BIRTH_ALLOWANCE_S = 15


@dataclass(frozen=True)
class Birth:
    """A process: pid, birth time (seconds since the epoch, from psutil) and host.

    `oom_kills` is how many processes the system had ended for lack of memory by then; None where it does not say.
    """

    pid: int
    birth: float
    host: str
    oom_kills: int | None = None

    @property
    def here(self) -> bool:
        """Whether it was born on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether that very process lives here; a zombie is dead."""
        if not self.here:
            return False
        try:
            found = psutil.Process(self.pid)
            return abs(found.create_time() - self.birth) < 1 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def signal(self, number: int) -> None:
        """Send a signal to the process; nothing happens where it is gone."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process with its group and all its children at once; those of torchrun are in sessions of their own."""
        if not self.alive:
            return
        children: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children(recursive=True)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()


def born(pid: int) -> Birth:
    """The birth of a process that lives now; raises psutil.NoSuchProcess."""
    return Birth(pid, psutil.Process(pid).create_time(), socket.gethostname(), oom_kills())


def oom_kills(proc: Path = Path("/proc")) -> int | None:
    """How many processes Linux has ended for lack of memory since it started (proc(5), vmstat); None elsewhere."""
    try:
        lines = (proc / "vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def write(path: Path, birth: Birth) -> None:
    write_whole(path, json.dumps(asdict(birth)))


def read(path: Path) -> Birth | None:
    values = read_json(path)
    try:
        kills = (values or {}).get("oom_kills")
        known = kills if isinstance(kills, int) else None
        found = Birth(int(values["pid"]), float(values["birth"]), str(values["host"]), known) if values else None
    except (KeyError, TypeError, ValueError):
        return None
    # The first process of a machine is no worker, and to end its group is to end every process there is (kill(2), -1).
    return found if found and found.pid > 1 else None


def now() -> float:
    return time.time()


def just_now(moment: float) -> bool:
    return now() - moment < BIRTH_ALLOWANCE_S
