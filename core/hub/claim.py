"""Take hold of the repository that a run is backed up in, and remember that it was done."""

import time

from core.files import append_line
from core.hub.repository import Head, Repository
from core.jobs.folder import Job


def claimed(job: Job, repository: Repository) -> Head:
    """What it holds. Claimed by the first who reaches it: the worker before the training, or else its backup.

    One that was deleted and made anew belongs to nobody, and is claimed again.
    """
    done = job.newest_event("backup_claimed")
    if done and done.get("writer") == repository.writer:
        head = repository.head_of_ours()
        if head.manifest:
            return head
    head = repository.claim(job)
    append_line(job.files.events, {"time": time.time(), "event": "backup_claimed", "writer": repository.writer})
    return head
