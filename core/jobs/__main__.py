"""The worker process: `python -m core.jobs FOLDER` does the job of that folder and writes how it ended."""

import gc
import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import ModuleType

from filelock import FileLock, Timeout

from core.errors import StudioError
from core.files import FULL
from core.hub import backing
from core.jobs import queue
from core.jobs.ending import stopped_early
from core.jobs.folder import Job
from core.jobs.kinds import HEAVY, KINDS
from core.jobs.preflight import check_again
from core.jobs.worker import StopRequested, Worker

# So many objects more before a collection, instead of several hundred.
RARELY = 100_000


def main(folder: Path) -> int:
    """Exit status: 0 finished, 1 failed, 3 stopped. A bug leaves its traceback in the log."""
    worker = Worker(Job(folder))
    try:
        # Held until the process ends, however it ends: a folder never has two workers.
        lock = FileLock(worker.files.lock).acquire(timeout=0)
    except Timeout:
        print("Another worker is at work in this folder.", file=sys.stderr)
        return 1
    with lock:
        sys.excepthook = worker.fail_loudly
        worker.begin()
        worker.listen()
        _work(worker)
    return {"finished": 0, "stopped": 3}.get((worker.job.result or {}).get("status", ""), 1)


def _work(worker: Worker) -> None:
    job = worker.job
    try:
        if job.kind == "train":
            # Before it waits for its turn: a night in the queue is too late for a name that cannot be written.
            backing.claim(worker)
        with queue.turn(worker, job.recipe.launcher.processes) if job.kind in HEAVY else nullcontext():
            # It may have waited for hours, and what was there then need not be there now.
            check_again(job)
            worker.phase("preparing")
            _imported(KINDS[job.kind]).run(worker)
    except StopRequested as stop:
        worker.finish("stopped", str(stop) or stopped_early(job))
    except StudioError as error:
        worker.finish("failed", str(error))
    except OSError as error:
        if error.errno not in FULL:
            raise
        worker.finish("failed", f"The disk is full: {error.filename or job.folder}. Make space, then start again.")


def _imported(module: str) -> ModuleType:
    """What is imported stays, so nothing is looked through for garbage while it comes (a fifth of the time), nor ever after."""
    usual = gc.get_threshold()
    gc.set_threshold(RARELY, *usual[1:])
    try:
        return import_module(module)
    finally:
        gc.freeze()
        gc.set_threshold(*usual)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
