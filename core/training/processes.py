"""One training in several processes: torchrun starts them, each does `python -m core.training.rank`.

The job's worker stays their leader: it has found model, data and starting point, and only they load anything heavy.
"""

import subprocess
import sys

from core import home
from core.errors import JobError
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.training.memory import smaller
from core.training.session import Session


def launch(session: Session) -> None:
    """Train in the recipe's number of processes to the end, to a stop, or to the smallest batch; raises StudioError."""
    job = session.job
    while job.result is None:
        tries = _times_out_of_memory(job)
        with session.worker.finishing_the_step():
            status = subprocess.run(_command(session), cwd=home.ROOT, check=False).returncode
        if job.result is not None:
            return
        if _times_out_of_memory(job) == tries:
            raise JobError(f"The training processes ended with status {status} and no result. The log says more.")
        session = smaller(session)
        session.worker.resolve(activation_checkpointing=session.micro.recomputes)


def _times_out_of_memory(job: Job) -> int:
    return sum(event["event"] == "rank_out_of_memory" for event in job.events)


def _command(session: Session) -> list[str]:
    job, step = session.job, session.point.step
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    count = f"--nproc-per-node={job.recipe.launcher.processes}"
    return [*torchrun, count, "-m", "core.training.rank", str(job.folder), session.files.folder.name, str(step)]


class Silent(Worker):
    """A worker that writes nothing: of several processes, only the first reports."""

    def event(self, event: str, **more: object) -> None:
        """Said by the first process."""

    def metric(self, **numbers: float | int | None) -> None:
        """Said by the first process."""

    def resolve(self, **facts: object) -> None:
        """Said by the first process."""

    def finish(self, status: str, why: str, **more: object) -> None:
        """Said by the first process."""
