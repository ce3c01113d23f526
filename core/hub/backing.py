"""What a training does about its backup: see before it begins that it can be written, start it, wait for it at the end."""

import subprocess
import sys
import time
from collections.abc import Callable
from uuid import uuid4

from filelock import FileLock, Timeout

from core import home
from core.errors import HubError
from core.hub.backup_state import BackupState, backup_of
from core.jobs.folder import Job
from core.jobs.worker import Worker

LOOK_EVERY_S = 0.2
# A training does not wait longer for the Hub before it begins: its backup will.
SILENCE_S = 10.0
# At the end the Hub may be away for so long before the run ends without it.
LONGEST_OUTAGE_S = 300.0


def claim(worker: Worker) -> None:
    """See that the repository can be written; a refusal raises HubError, an absent Hub is a warning."""
    repository_id = worker.job.recipe.checkpoints.hub_backup
    if not repository_id:
        return
    # Not at the top: only runs with a backup need the Hub's client.
    from core.hub import account
    from core.hub.claim import claimed
    from core.hub.passing import PassingTrouble, asked
    from core.hub.patience import bear_silence
    from core.hub.repository import Repository

    if account.token() is None:
        raise HubError(
            f"checkpoints.hub_backup: nobody is signed in to the Hub, so {repository_id} cannot be written. Sign in with "
            "`hf auth login` or on the Hub page, or leave it empty."
        )
    writer = uuid4().hex
    worker.event("backup", repository=repository_id, writer=writer)
    bear_silence(SILENCE_S)
    worker.progress(f"Asking the Hub whether the backup {repository_id} can be written", 0, 1)
    try:
        asked(repository_id, lambda: claimed(worker.job, Repository(repository_id, writer)))
    except PassingTrouble as error:
        worker.warning(f"{error} The training begins without it; its checkpoints go up as soon as the Hub answers.")
    worker.progress("Starting the worker", 0, 1)


def start(worker: Worker) -> None:
    """Start the process that backs the run up, in the worker's own group, if the recipe asks for it."""
    if worker.job.recipe.checkpoints.hub_backup:
        command = [sys.executable, "-m", "core.hub.backup", str(worker.job.folder)]
        subprocess.Popen(command, cwd=home.ROOT, stdin=subprocess.DEVNULL)


def wait(worker: Worker, stop_asked: Callable[[], bool]) -> str:
    """Wait until the Hub has the newest checkpoint and the result; a sentence on how that went, empty without a backup.

    A stop that comes now ends the waiting. One that was asked before does not: that is why it ends.
    """
    job = worker.job
    if backup_of(job) is None:
        return ""
    began, stopping = time.time(), stop_asked()
    worker.event("waiting_for_backup", step=_newest_step(job))
    while not _is_safe(job):
        state = backup_of(job)
        _report(worker, state)
        if (stop_asked() and not stopping) or _hopeless(job, state, began):
            return _missing(job, state)
        time.sleep(LOOK_EVERY_S)
    state = backup_of(job)
    step = f"Step {state.safe_step:,} is" if state.safe_step else "Its result is"
    return f"{step} safe on the Hub in {state.repository}."


def _newest_step(job: Job) -> int | None:
    return job.checkpoints[-1].step if job.checkpoints else None


def _is_safe(job: Job) -> bool:
    """Whether this worker's backup has confirmed all there is."""
    safe = job.newest_event("backed_up") or {}
    return safe.get("step") == _newest_step(job) and _result_is_safe(job)


def _result_is_safe(job: Job) -> bool:
    safe = job.newest_event("backed_up") or {}
    return bool(safe.get("has_result")) >= (job.final is not None)


def _is_left_out(job: Job) -> bool:
    """Whether the newest checkpoint is one that never goes up."""
    left_out = job.newest_event("backup_left_out")
    return left_out is not None and left_out.get("step") == _newest_step(job)


def _report(worker: Worker, state: BackupState) -> None:
    what = state.uploading or {"done": 0, "total": 1}
    worker.progress("Backing up to the Hub", what["done"], what["total"])


def _hopeless(job: Job, state: BackupState, began: float) -> bool:
    """Whether the Hub refuses it, or has been away for long, or only what never goes up is left, or nobody backs up any more."""
    if state.trouble:
        return state.refused or time.time() - max(state.failing_since, began) > LONGEST_OUTAGE_S
    return (_is_left_out(job) and _result_is_safe(job)) or not _someone_backs_up(job)


def _someone_backs_up(job: Job) -> bool:
    """Whether a backup process lives; a new one needs a moment to be born."""
    try:
        with FileLock(job.files.backup_lock).acquire(timeout=0):
            begun = job.newest_event("waiting_for_backup") or {"time": 0.0}
            return time.time() - begun["time"] < 5
    except Timeout:
        return True


def _missing(job: Job, state: BackupState) -> str:
    newest = _newest_step(job)
    missing = f"Step {newest:,} is" if newest else "Its result is"
    safe = f"step {state.safe_step:,} is" if state.safe_step else "nothing of it is"
    why = f" {state.trouble}" if state.trouble else ""
    return f"{missing} not backed up in {state.repository}: {safe} there.{why}"
