"""One of several training processes: `torchrun -m core.training.rank FOLDER DATA STEP`, started by `processes.py`."""

import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import torch

from core import home
from core.data.prepare import find_model
from core.errors import StudioError
from core.jobs.ending import stopped_early
from core.jobs.folder import Job
from core.jobs.worker import StopRequested, Worker
from core.models.fingerprint import fingerprint
from core.models.load import load_tokenizer
from core.training import resume, run
from core.training.device import choose_device, set_up
from core.training.micro_batch import micro_batch
from core.training.processes import Silent
from core.training.session import Session, rows_of

LOOK_EVERY_S = 0.5


def main(folder: Path, data: str, step: int) -> int:
    """Exit status 0 if the result is written; the first process writes it."""
    job = Job(folder)
    first = int(os.environ["RANK"]) == 0
    worker = Worker(job) if first else Silent(job)
    threading.Thread(target=_end_with_the_leader, args=(job,), daemon=True).start()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        return 0 if _train(worker, data, step) else 1
    except StopRequested:
        worker.finish("stopped", stopped_early(job))
        return 0
    except StudioError as error:
        worker.finish("failed", str(error))
        return 1


def _train(worker: Worker, data: str, step: int) -> bool:
    job = worker.job
    device = choose_device(job.recipe.training)
    set_up(device, job.recipe.training)
    found = find_model(worker, job)
    # The leader has verified its every byte a moment ago.
    point = resume.Point(job.checkpoint_of(step) if step else None)
    files = home.prepared_files(data)
    micro = replace(micro_batch(job, device.machine()), recomputes=job.resolved["activation_checkpointing"])
    rows = rows_of(files, job.recipe)
    session = Session(worker, device, files, *rows, fingerprint(found.folder), point, micro, lambda: _asked(job))
    trained = run.attempt(session, found, load_tokenizer(found, job.recipe.model.chat_template))
    if not trained:
        Worker(job).event("rank_out_of_memory", rank=int(os.environ["RANK"]))
    return trained


def _asked(job: Job) -> bool:
    """Whether a stop was requested: of the leader by a signal, or through the files."""
    return job.stop_asked is not None or job.phase == "stopping"


def _end_with_the_leader(job: Job) -> None:
    """The leader may be killed, and torchrun goes on without it; two trainings must never write in one folder."""
    leader = job.worker
    while leader is None or leader.alive:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
