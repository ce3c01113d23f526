"""The queue: one training a device, first come first served. Each job's own process waits for its turn, before it loads
anything heavy, so the queue needs nobody who manages it and survives the app.

A device is a lock that the system frees when its holder ends, however it ends.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from filelock import FileLock, Timeout

from core import home
from core.errors import JobError
from core.files import read_json, write_whole
from core.hardware import machine
from core.jobs.folder import Job
from core.jobs.kinds import HEAVY
from core.jobs.listing import live_jobs
from core.jobs.status import Status
from core.jobs.worker import StopRequested, Worker

LOOK_EVERY_S = 0.5
NOT_BEGUN = (Status.STARTING, Status.QUEUED)


def waiting() -> list[Job]:
    """The jobs that wait for their turn, the next one first."""
    return [job for job in _line() if job.status is Status.QUEUED]


def move(job: Job, place: int) -> None:
    """Put a waiting job at a place in the queue, 1 being the next; raises JobError if it does not wait."""
    with FileLock(home.start_lock()):
        others = [other for other in waiting() if other.id != job.id]
        if job.status is not Status.QUEUED:
            raise JobError(f"{job.name} does not wait in the queue: it is {job.status}.")
        others.insert(max(0, place - 1), job)
        order = {"time": time.time(), "order": [other.id for other in others]}
        write_whole(home.queue_file(), json.dumps(order))


@contextmanager
def turn(worker: Worker, devices_wanted: int = 1) -> Iterator[None]:
    """Wait until this job is next and its devices are free; hold them until the end."""
    with ExitStack() as held:
        if not _try(worker.job, devices_wanted, held):
            _wait(worker, devices_wanted, held)
        yield


def _wait(worker: Worker, devices_wanted: int, held: ExitStack) -> None:
    worker.phase("queued")
    try:
        while not _try(worker.job, devices_wanted, held):
            time.sleep(LOOK_EVERY_S)
    except StopRequested:
        raise StopRequested("Taken out of the queue before its turn came.") from None
    worker.event("turn")


def devices() -> list[str]:
    """The devices of this machine that train: every GPU, or the one that there is."""
    found = machine(home.home())
    return [f"gpu-{number}" for number in range(len(found.gpus))] or [found.device]


def _line() -> list[Job]:
    """All jobs for a device that have not begun: in the order a person gave them, then in the order they came.

    One that was resumed since then has come anew, whatever its place was.
    """
    asked = read_json(home.queue_file()) or {}
    order, given = asked.get("order"), asked.get("time")
    places = {name: place for place, name in enumerate(order)} if isinstance(order, list) else {}
    jobs = [job for job in live_jobs() if job.kind in HEAVY and job.status in NOT_BEGUN]

    def place(job: Job) -> int:
        there = isinstance(given, int | float) and job.began <= given
        return places.get(job.id, len(places)) if there else len(places)

    return sorted(jobs, key=lambda job: (place(job), job.began, job.id))


def _try(job: Job, wanted: int, held: ExitStack) -> bool:
    """Take the devices if nobody is before this job and enough of them are free."""
    line = _line()
    if line and line[0].id != job.id:
        return False
    known = devices()
    wanted = min(wanted, len(known))
    with ExitStack() as taken:
        numbers = []
        for number, device in enumerate(known):
            if len(numbers) < wanted and _take(device, taken):
                numbers.append(number)
        if len(numbers) < wanted:
            return False
        held.push(taken.pop_all())
    if len(known) > 1:
        _show_only(numbers)
    return True


def _take(device: str, taken: ExitStack) -> bool:
    try:
        taken.enter_context(FileLock(home.device_lock(device)).acquire(timeout=0))
    except Timeout:
        return False
    return True


def _show_only(numbers: list[int]) -> None:
    """CUDA sees only these of the visible GPUs; before torch is imported, so that it is true for the whole process."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(max(numbers) + 1)]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[number] for number in numbers)
