"""How a job ended, in words a person can act on: what it wrote itself, or what its silence means."""

import psutil

from core.jobs.folder import Job
from core.jobs.process import Birth, oom_kills
from core.jobs.status import Status


def why(job: Job) -> str:
    """How it ended and what to do; empty while it is live."""
    if job.damage:
        return job.damage
    if result := job.result:
        return str(result.get("why") or "It ended without saying why. The log has the details.")
    if job.status is Status.STOPPED:  # asked to, before it could write anything
        return stopped_early(job)
    return _interruption(job) if job.status is Status.INTERRUPTED else ""


# Kinds of job that go on where they were, in their own folder.
RESUMABLE = ("train", "publish", "export")


def can_resume(job: Job) -> bool:
    """Whether it is over, but not done, and can go on."""
    return job.kind in RESUMABLE and job.status in (Status.STOPPED, Status.FAILED, Status.INTERRUPTED)


def stopped_early(job: Job) -> str:
    """What a stop means that came before its worker had trained anything."""
    if job.kind == "train" and job.checkpoints:
        return f"Stopped before another step. The checkpoint of step {job.checkpoints[-1].step:,} is saved."
    return {
        "train": "Stopped before the first step. Nothing was trained.",
        "probe": "Stopped before anything was measured.",
        "restore": "Stopped before it was whole. Nothing was restored.",
        "evaluate": "Stopped before anything was compared. The run itself is as it was.",
        "export": "Stopped before all of it was written. The run itself is as it was.",
        "publish": "Stopped before anything was changed on the Hub. What has been sent need not be sent again.",
        "space": "Stopped before the Space was pushed whole. Push again to finish it.",
    }.get(job.kind, "Stopped before the data was ready.")


def _interruption(job: Job) -> str:
    if job.phase == "queued":
        return "It waited in the queue when its process ended. Resume puts it back into the queue."
    step, total = job.metrics.step, job.total_steps
    unfinished = "before its first step" if job.kind == "train" else "before it was done"
    where = f"at step {step:,} of {total:,}" if step and total else unfinished
    said = f"The worker ended {where} without a result: {_cause(job, job.worker)}."
    return f"{said} {_way_on(job)}" if job.kind in RESUMABLE else said


def _way_on(job: Job) -> str:
    """What Resume does with what is left."""
    if job.kind != "train":
        return "Resume goes on with it."
    if not job.checkpoints:
        return "No checkpoint was saved: with Resume it begins anew."
    return f"Step {job.checkpoints[-1].step:,} is saved. Resume goes on from there."


def _cause(job: Job, worker: Birth | None) -> str:
    if worker is None:
        restored = job.newest_event("restored")
        return "it ran on another machine, and was restored from its backup" if restored else "it was never started"
    if not worker.here:
        return f"it ran on another machine, {worker.host}"
    if psutil.boot_time() > worker.birth + 1:
        return "the machine was restarted"
    now = oom_kills()
    if now is not None and worker.oom_kills is not None and now > worker.oom_kills:
        return f"the system most likely ended it for lack of memory{_memory(job)}. A smaller batch or fewer max tokens need less"
    return "it was killed"


def _memory(job: Job) -> str:
    used = job.metrics.last("memory_bytes")
    total = psutil.virtual_memory().total
    return f" (it held {used / 1e9:.1f} of {total / 1e9:.1f} GB)" if used else ""
