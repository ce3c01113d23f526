"""What a job can be. It is never stored: `core/jobs/folder.py` derives it from the files and the process."""

from enum import StrEnum


class Status(StrEnum):
    STARTING = "starting"
    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DAMAGED = "damaged"

    @property
    def live(self) -> bool:
        """Its process lives, whether it works or waits for its turn."""
        return self is Status.QUEUED or self.at_work

    @property
    def at_work(self) -> bool:
        """It uses the machine, or is about to."""
        return self in (Status.STARTING, Status.PREPARING, Status.RUNNING, Status.STOPPING)
