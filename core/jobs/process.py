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
from pydantic import TypeAdapter, ValidationError

from core.files import read_json, write_whole

# A worker needs a moment between the making of its folder and its birth.
BIRTH_ALLOWANCE_S = 15
# The kernel counts in hundredths of a second.
TICKS_S = 0.05


@dataclass(frozen=True)
class Birth:
    """A process: pid, birth time (seconds since the epoch, from psutil) and host.

    `oom_kills` is how many processes the system had ended for lack of memory by then; None where it does not say.
    `since_boot` is the birth time of the kernel (seconds, Linux only): when a clock is set, the other one moves with it.
    """

    pid: int
    birth: float
    host: str
    oom_kills: int | None = None
    since_boot: float | None = None

    @property
    def here(self) -> bool:
        """Whether it was born on this machine."""
        return _own_name(self.host) == _own_name(socket.gethostname())

    @property
    def alive(self) -> bool:
        """Whether that very process lives here; a zombie is dead."""
        if not self.here:
            return False
        try:
            found = psutil.Process(self.pid)
            return self._is(found) and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def _is(self, found: psutil.Process) -> bool:
        if abs(found.create_time() - self.birth) < 1:
            return True
        since_boot = _since_boot(found)
        return None not in (since_boot, self.since_boot) and abs(since_boot - self.since_boot) < TICKS_S

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


def _own_name(host: str) -> str:
    """Without its domain: a laptop that is called ann.local at home is ann.example.org in the next network."""
    return host.partition(".")[0].lower()


BIRTH = TypeAdapter(Birth)


def born(pid: int) -> Birth:
    """The birth of a process that lives now; raises psutil.NoSuchProcess."""
    found = psutil.Process(pid)
    return Birth(pid, found.create_time(), socket.gethostname(), oom_kills(), _since_boot(found))


def _since_boot(found: psutil.Process) -> float | None:
    return found.create_time() - psutil.boot_time() if psutil.LINUX else None


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
    try:
        found = BIRTH.validate_python(read_json(path))
    except ValidationError:
        return None
    # The first process of a machine is no worker, and to end its group is to end every process there is (kill(2), -1).
    return found if found.pid > 1 else None


def now() -> float:
    return time.time()


def just_now(moment: float) -> bool:
    return now() - moment < BIRTH_ALLOWANCE_S
