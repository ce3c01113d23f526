"""Is it still the process that was started? A pid alone may have been given to another; pid and birth time are not."""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from core.files import read_json, write_whole

# A worker needs a moment between the making of its folder and its birth.
BIRTH_ALLOWANCE_S = 15


@dataclass(frozen=True)
class Birth:
    """A process: pid, birth time (seconds since the epoch, from psutil) and host."""

    pid: int
    birth: float
    host: str

    @property
    def alive(self) -> bool:
        """Whether that very process lives here; a zombie is dead."""
        if self.host != socket.gethostname():
            return False
        try:
            found = psutil.Process(self.pid)
            return abs(found.create_time() - self.birth) < 1 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def signal(self, number: int, group: bool = False) -> None:
        """Send a signal to the process, or to its whole group; nothing happens where it is gone."""
        if not self.alive:
            return
        try:
            (os.killpg if group else os.kill)(self.pid, number)
        except ProcessLookupError:
            return


def born(pid: int) -> Birth:
    """The birth of a process that lives now; raises psutil.NoSuchProcess."""
    return Birth(pid, psutil.Process(pid).create_time(), socket.gethostname())


def write(path: Path, birth: Birth) -> None:
    write_whole(path, json.dumps(asdict(birth)))


def read(path: Path) -> Birth | None:
    values = read_json(path)
    try:
        return Birth(int(values["pid"]), float(values["birth"]), str(values["host"])) if values else None
    except (KeyError, TypeError, ValueError):
        return None


def now() -> float:
    return time.time()


def just_now(moment: float) -> bool:
    return now() - moment < BIRTH_ALLOWANCE_S
