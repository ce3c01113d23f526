"""Start, resume, stop and delete jobs: each is a process of its own session, so it outlives app, terminal and tab."""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from core import home
from core.errors import JobError
from core.files import FULL, append_line, end_last_line, remove_whole, write_whole
from core.hardware import machine
from core.jobs import process
from core.jobs.ending import can_resume
from core.jobs.folder import Job
from core.jobs.listing import live_jobs
from core.jobs.preflight import check, check_again, check_backup, check_rows, located
from core.jobs.status import Status
from core.jobs.worker import Worker
from core.models import compiler
from core.recipe import Recipe
from core.recipe_yaml import to_yaml
from core.training import heap

# A folder that was written to this recently by a worker of another machine may have a living one there.
QUIET_S = 60
# What people have set for years instead of the name that torch prefers now.
OLDER_NAMES = {"PYTORCH_ALLOC_CONF": "PYTORCH_CUDA_ALLOC_CONF"}


def start(recipe: Recipe, kind: str = "train", beside: dict[str, str] | None = None, token: str | None = None) -> Job:
    """Start a job in the background, or queue it behind another training; its handle.

    `beside` are further files of its folder, name -> text, where a recipe does not say all. `token` is for the Hub, if
    another than this machine's: the worker has it in its environment, and nowhere else. The very same that is already
    under way is not started twice: its job is returned. Raises StudioError and leaves nothing if it cannot start.
    """
    recipe, beside = _checked(recipe, kind), beside or {}
    home.jobs_folder().mkdir(parents=True, exist_ok=True)
    # Two tabs, or a double click: the lock makes the look and the start one act.
    with FileLock(home.start_lock()):
        return _under_way(recipe, kind, beside) or _launch(_new_folder(recipe, kind, beside), token)


def check_start(recipe: Recipe) -> None:
    """Raise the StudioError with which a training of it would not start."""
    _under_way(_checked(recipe, "train"), "train", {})


def resume(job: Job, step: int | None = None, token: str | None = None) -> Job:
    """Go on with a training from its newest good checkpoint, or from that of a step; raises JobError if it cannot.

    Without any checkpoint it begins anew, in the same folder. `token` as for `start`.
    """
    with FileLock(home.start_lock()):
        if not job.folder.is_dir():
            raise JobError(f"The job {job.id} is deleted.")
        if job.status.live:
            return job
        _refuse_resume(job, step)
        check_again(job)
        _let_go(job)
        request = {"event": "resuming", "step": step, "before_s": job.duration_s}
        append_line(job.files.events, {"time": time.time()} | request)
        job.files.result.unlink(missing_ok=True)
        job.files.process.unlink(missing_ok=True)
        return _launch(job, token)


def stop(job: Job) -> None:
    """Ask the worker to finish its step, write a checkpoint and end; a second request ends it at once.

    One that does not react is ended after a deadline, whether or not anybody still watches.
    """
    if job.worker is None or not job.status.live:
        raise JobError(f"{job.name} is not running, so there is nothing to stop.")
    if job.status is Status.STOPPING:
        end(job, "Ended at once.")
        return
    _request_stop(job)
    _detached("core.jobs.deadline", job.folder)
    job.worker.signal(signal.SIGTERM)


def discard(job: Job) -> None:
    """End a job at once and remove what it has saved; its recipe, curve and log stay."""
    if not job.status.live:
        raise JobError(f"{job.name} is not running, so there is nothing to stop.")
    _request_stop(job, keep=False)
    shown = f"at step {job.metrics.step:,}" if job.metrics.step else "before its first step"
    end(job, f"Stopped {shown} and discarded: nothing is saved.", keep=False)


def _request_stop(job: Job, **more: bool) -> None:
    """Write it down; where the disk is full, in the room that is kept for last words."""
    request = {"time": time.time(), "event": "stop_requested"} | more
    try:
        append_line(job.files.events, request)
    except OSError as error:
        if error.errno not in FULL:
            raise
        job.files.ballast.unlink(missing_ok=True)
        end_last_line(job.files.events)
        append_line(job.files.events, request)


def end(job: Job, why: str, keep: bool = True) -> None:
    """Kill a job's process with all its children, and say so in the result if the worker did not write one."""
    if job.worker:
        job.worker.kill()
        _wait_for_death(job.worker)
    if not keep:
        shutil.rmtree(job.files.checkpoints, ignore_errors=True)
        for folder in job.files.finals:
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(job.files.scratch, ignore_errors=True)
    if keep and job.checkpoints:
        why += f" The checkpoint of step {job.checkpoints[-1].step:,} is saved."
    if job.result is None:
        Worker(job).finish("stopped", why)


def wait(job: Job, longest_s: float = float("inf")) -> Status:
    """Wait until the job is over, or the time has passed; the status then."""
    until = time.monotonic() + longest_s
    while job.status.live and time.monotonic() < until:
        time.sleep(0.1)
    return job.status


def delete(job: Job) -> None:
    """Remove a job's folder with all its checkpoints; raises JobError while it runs."""
    # Another tab may resume it meanwhile, or have deleted it.
    with FileLock(home.start_lock()):
        if not job.folder.is_dir():
            return
        if job.status.live:
            raise JobError(f"{job.name} is running. Stop it first.")
        remove_whole(job.folder, home.deleted_aside())


def _refuse_resume(job: Job, step: int | None) -> None:
    if job.damage:
        raise JobError(job.damage)
    if not can_resume(job):
        finished = "is finished; continue it as a new run" if job.kind == "train" else "is finished"
        reason = finished if job.status is Status.FINISHED else f"is no training; {job.kind} it again instead"
        raise JobError(f"{job.name} {reason}.")
    if step is not None and job.checkpoint_of(step) is None:
        broken = next((f": {found.why}" for found in job.broken_checkpoints if found.step == step), "")
        known = ", ".join(f"{checkpoint.step:,}" for checkpoint in job.checkpoints) or "there are none"
        raise JobError(
            f"{job.name} has no checkpoint of step {step:,} that can be used{broken}. Those it has: {known}."
        )
    if job.worker and not job.worker.here and time.time() - _last_write(job) < QUIET_S:
        raise JobError(f"{job.name} seems to be running on {job.worker.host}: its files have just changed.")


def _last_write(job: Job) -> float:
    files = (job.files.events, job.files.metrics, job.files.log)
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _let_go(job: Job) -> None:
    """The worker that has written the result holds the folder until torchrun has ended, which takes it seconds."""
    if job.worker:
        _wait_for_death(job.worker)
        job.worker.kill()


def _wait_for_death(worker: process.Birth, longest_s: float = 10) -> None:
    until = time.monotonic() + longest_s
    while worker.alive and time.monotonic() < until:
        time.sleep(0.05)


def _checked(recipe: Recipe, kind: str) -> Recipe:
    """The recipe as a job has it; raises StudioError."""
    recipe = located(recipe)
    check(recipe, kind)
    if kind not in home.ASKED:  # about a run: its data is prepared already
        check_rows(recipe)
    return recipe


def _under_way(recipe: Recipe, kind: str, beside: dict[str, str]) -> Job | None:
    """The job that is the very same; without one raises JobError where another has this one's backup."""
    same = next((job for job in live_jobs(kind) if job.recipe == recipe and _has(job, beside)), None)
    if same is None and kind == "train":
        check_backup(recipe)
    return same


def _has(job: Job, beside: dict[str, str]) -> bool:
    return all((job.folder / name).read_text(encoding="utf-8") == text for name, text in beside.items())


def _new_folder(recipe: Recipe, kind: str, beside: dict[str, str]) -> Job:
    """A whole job folder appears at once: it is made aside and renamed."""
    moment = datetime.now()
    slug = "-".join("".join(c if c.isalnum() or c in "-_" else " " for c in recipe.name.lower()).split())
    aside = home.jobs_folder() / f".new-{os.getpid()}-{moment:%H%M%S%f}"
    aside.mkdir()
    files = home.JobFiles(aside)
    try:
        write_whole(files.recipe, to_yaml(recipe))
        for name, text in beside.items():
            write_whole(aside / name, text)
        append_line(files.events, {"time": moment.timestamp(), "event": "created", "kind": kind})
        return Job(_claim(aside, f"{moment:%Y%m%d-%H%M%S}-{slug}"))
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _claim(aside: Path, name: str) -> Path:
    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        folder = home.job_folder(name + suffix)
        if not folder.exists():
            return aside.rename(folder)
    raise JobError(f"There are already a hundred jobs named {name}.")


def _launch(job: Job, token: str | None) -> Job:
    # Only this user can read a process's environment; its arguments everybody can.
    signed_in = {"HF_TOKEN": token} if token else {}
    started = _detached("core.jobs", job.folder, surroundings(job) | signed_in)
    process.write(job.files.process, process.born(started.pid))
    return job


def surroundings(job: Job) -> dict[str, str]:
    """What the environment of a worker needs beside ours; what a person has set stays."""
    device = machine(home.home()).device
    wanted = compiler.surroundings(device)
    if job.kind in ("train", "probe"):
        wanted = wanted | heap.surroundings(job.recipe, device)
    return {name: value for name, value in wanted.items() if not {name, OLDER_NAMES.get(name)} & set(os.environ)}


def _detached(module: str, folder: Path, extra: dict[str, str] | None = None) -> subprocess.Popen:
    """A process of its own session whose output goes to the job's log."""
    with home.JobFiles(folder).log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(folder)],
            cwd=home.ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | (extra or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
