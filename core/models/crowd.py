"""How threads on a CPU wait for each other: spinning while they have the cores to themselves, asleep beside other programs.

Spinning is fastest alone, but keeps the core that the awaited thread needs. libgomp, with which torch computes on Linux, spins
for 300,000 turns, and for 1,000 in a process with more threads than cores (GNU libgomp manual, GOMP_SPINCOUNT); it counts them
at every wait. So threads that do nothing are kept for as long as others need the cores.

Measured on two cores, LoRA on the starter, seconds a step: alone 0.8 spinning and 1.3 asleep; beside a program that never rests
more than 60 spinning and 1.4 asleep, beside two of them 1.4; with the live page of a training open 1.3 spinning, 1.6 asleep.
"""

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch

# Two looks of a page at its training, of which each takes half a core for a second, count as one.
EVERY_S = 2.0
# Cores: what others may take of those that the threads need. A live page takes 0.3.
LEFT_TO_OTHERS = 0.6
# So many looks in a row find the cores free before threads spin again, and taken before the person hears of it.
CALM_LOOKS, TOLD_LOOKS = 3, 15
# Where a person has set one of these, threads wait as it says.
CHOSEN = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
# Numbers enough for torch to share them among threads.
SHARED = 200_000


def watch(told: Callable[[str], None] | None = None) -> None:
    """From now on look whether others need the cores, in a thread that ends with the process; `told` hears it once."""
    if _spins():
        crowd = Crowd(torch.get_num_threads(), len(os.sched_getaffinity(0)), told)
        threading.Thread(target=crowd.watch, name="crowd", daemon=True).start()


@contextmanager
def asleep() -> Iterator[None]:
    """Inside, threads wait asleep whoever else is there: for what is over before `watch` has looked."""
    idlers = Idlers(torch.get_num_threads(), len(os.sched_getaffinity(0))) if _spins() else None
    try:
        yield
    finally:
        if idlers:
            idlers.end()


def _spins() -> bool:
    """Whether threads of this process spin for each other, and it may change that."""
    return platform.system() == "Linux" and torch.get_num_threads() > 1 and not CHOSEN & set(os.environ)


class Crowd:
    """Whether the threads of this process have their cores to themselves, and what follows from it."""

    def __init__(self, threads: int, cores: int, told: Callable[[str], None] | None = None):
        self.threads, self.cores, self.told = threads, cores, told
        self.idlers: Idlers | None = None
        self._there = False
        self._looks = 0  # in a row that found the same

    def watch(self) -> None:
        """Look again and again, for ever."""
        for others in cores_used_by_others(EVERY_S):
            self.see(others)

    def see(self, others: float) -> None:
        """Other programs have kept so many cores busy since the last look."""
        there = self.threads + others > self.cores + LEFT_TO_OTHERS
        self._looks = self._looks + 1 if there == self._there else 1
        self._there = there
        if there:
            self.idlers = self.idlers or Idlers(self.threads, self.cores)
        elif self.idlers and self._looks == CALM_LOOKS:
            self.idlers.end()
            self.idlers = None
        if there and self._looks == TOLD_LOOKS and self.told:
            self.told(
                f"Other programs, perhaps a chat here, keep {others:.1f} of the {self.cores} cores busy. This goes on beside "
                "them, but takes longer than planned."
            )
            self.told = None


class Idlers:
    """Teams of OpenMP threads that do nothing, so many that this process has more threads than cores."""

    def __init__(self, threads: int, cores: int):
        self._over = threading.Event()
        for _ in range((cores - threads) // (threads - 1) + 1):
            threading.Thread(target=self._idle, name="idlers", daemon=True).start()

    def _idle(self) -> None:
        torch.zeros(SHARED).add_(1)  # a thread's first work that is shared makes its team, which ends with it
        self._over.wait()

    def end(self) -> None:
        self._over.set()


def cores_used_by_others(every_s: float) -> Iterator[float]:
    """Each time after `every_s`: how many of the cores that this process may use others have kept busy meanwhile."""
    before = _seconds()
    while True:
        time.sleep(every_s)
        now = _seconds()
        passed, busy, own = (new - old for new, old in zip(now, before, strict=True))
        before = now
        yield max(0.0, (busy - own) / passed)


def _seconds() -> tuple[float, float, float]:
    """The clock; how long the cores have been busy; how long of that this process has kept them so."""
    every = psutil.cpu_times(percpu=True)
    cores = [every[number] for number in os.sched_getaffinity(0)]
    own = psutil.Process().cpu_times()
    return time.monotonic(), sum(core.user + core.nice + core.system for core in cores), own.user + own.system
