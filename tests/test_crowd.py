"""Threads beside other programs: what is seen of those, what is kept for as long as they are there, and what is said."""

import os
import subprocess
import sys
from itertools import islice

import pytest

from core.models.crowd import CALM_LOOKS, TOLD_LOOKS, Crowd, cores_used_by_others

BUSY, FREE = 1.0, 0.2
IDLERS = """
import sys, time, psutil, torch
from core.models.crowd import SHARED, Idlers

def threads():
    return psutil.Process().num_threads()

def until(expected):
    ends = time.monotonic() + 30
    while threads() != expected and time.monotonic() < ends:
        time.sleep(0.01)
    return threads()

torch.zeros(SHARED).add_(1)
before, more = threads(), int(sys.argv[3])
idlers = Idlers(int(sys.argv[1]), int(sys.argv[2]))
print(until(before + more) - before)
idlers.end()
print(until(before) - before)
"""


@pytest.fixture
def told():
    return []


@pytest.fixture
def crowd(told):
    found = Crowd(2, 2, told.append)
    yield found
    if found.idlers:
        found.idlers.end()


def test_idlers_are_there_while_others_need_the_cores(crowd):
    crowd.see(FREE)
    assert crowd.idlers is None
    crowd.see(BUSY)
    first = crowd.idlers
    assert first
    for _ in range(CALM_LOOKS - 1):
        crowd.see(FREE)
    crowd.see(BUSY)
    assert crowd.idlers is first, "others have come back before the cores were free for long"
    for _ in range(CALM_LOOKS):
        crowd.see(FREE)
    assert crowd.idlers is None


def test_cores_that_no_thread_needs_are_left_to_others():
    crowd = Crowd(2, 4)
    crowd.see(2.5)
    assert crowd.idlers is None
    crowd.see(2.7)
    assert crowd.idlers
    crowd.idlers.end()


def test_the_person_hears_of_others_once_and_not_of_a_moment(crowd, told):
    for _ in range(TOLD_LOOKS - 1):
        crowd.see(BUSY)
    crowd.see(FREE)
    assert told == []
    for _ in range(3 * TOLD_LOOKS):
        crowd.see(BUSY)
    assert told == [
        "Other programs, perhaps a chat here, keep 1.0 of the 2 cores busy. This goes on beside them, but takes longer "
        "than planned."
    ]


def test_what_others_use_is_seen():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            assert any(used > 0.3 for used in islice(cores_used_by_others(0.2), 100))
        finally:
            other.kill()


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux" or os.cpu_count() == 1, reason="no team of libgomp's here")
@pytest.mark.parametrize(("threads", "cores", "more"), [(2, 2, 2), (2, 3, 4), (2, 4, 6)])
def test_idlers_are_more_threads_than_cores_and_go_again(threads, cores, more):
    """The threads that compute, and those of the idlers without the one that would compute in their place."""
    command = [sys.executable, "-c", IDLERS, str(threads), str(cores), str(more)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert said.stdout.split() == [str(more), "0"]
