"""Watch and describe jobs for the terminal: a progress bar where a person looks, plain lines in a pipe, data for scripts."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from core.errors import JobError
from core.evaluation.report import read as read_findings
from core.hub.backup_state import backup_of
from core.jobs import ending, queue
from core.jobs.folder import Job
from core.jobs.status import Status

LOOK_EVERY_S = 0.5
CURVES = ("losses", "held_out_losses", "preferred")


def summary(job: Job) -> dict[str, Any]:
    """One job in a row of plain values."""
    metrics = job.metrics
    return {
        "id": job.id,
        "name": job.name,
        "kind": job.kind,
        "status": job.status.value,
        "created": job.created,
        "duration_s": round(job.duration_s, 1),
        "step": metrics.step,
        "total_steps": job.total_steps,
        "loss": metrics.last("loss"),
        "held_out_loss": metrics.last_held_out_loss,
    }


def details(job: Job) -> dict[str, Any]:
    """Everything about a job in plain values."""
    return (
        summary(job)
        | {
            "folder": str(job.folder),
            "why": ending.why(job) or None,
            "recipe": None if job.damage else job.recipe.model_dump(mode="json"),
            "resolved": job.resolved,
            "broken_checkpoints": [{"step": broken.step, "why": broken.why} for broken in job.broken_checkpoints],
            "checkpoints": [
                {"step": c.step, "size_bytes": c.size_bytes, "folder": str(c.folder)} for c in job.checkpoints
            ],
            "losses": list(zip(map(int, job.metrics["step"]), map(_finite, job.metrics["loss"]), strict=True)),
            "held_out_losses": [
                (int(step), _finite(loss))
                for step, loss in zip(job.metrics.held_out_step, job.metrics.held_out_loss, strict=True)
            ],
        }
        | _preferred(job)
        | _findings(job)
        | _backup(job)
    )


def _backup(job: Job) -> dict[str, Any]:
    """Where a run is backed up, and the step that is confirmed there."""
    found = backup_of(job) if job.kind == "train" else None
    shown = {"repository": found.repository, "safe_step": found.safe_step, "trouble": found.trouble} if found else None
    return {"backup": shown} if shown else {}


def _preferred(job: Job) -> dict[str, Any]:
    """By step, the share of pairs of which the chosen answer was preferred; nothing where no pairs were learned from."""
    metrics = job.metrics
    if metrics.last("preferred") is None:
        return {}
    return {"preferred": list(zip(map(int, metrics["step"]), map(_finite, metrics["preferred"]), strict=True))}


def _findings(job: Job) -> dict[str, Any]:
    """What an evaluation found, where the job is one."""
    found = read_findings(job.files) if job.kind == "evaluate" else None
    return {"findings": found.as_dict()} if found else {}


def page(job: Job) -> str:
    """Everything about a job but its curves, to read."""
    shown = {name: value for name, value in details(job).items() if name not in CURVES}
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip()


def numbers(row: dict[str, Any]) -> tuple[str, str, str]:
    """The cells step, loss and held-out loss of a summary."""
    total = row["total_steps"]
    step = f"{row['step']:,}" + (f" / {total:,}" if total else "")
    return step if total else "—", cell(row["loss"]), cell(row["held_out_loss"])


def cell(value: float | str | None) -> str:
    if value is None:
        return "—"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def follow(job: Job, quiet: bool = False) -> None:
    """Show the job's progress until it is over, and then what came of it. Why one did not finish is the caller's to say."""
    if quiet:
        _wait(job)
    elif sys.stdout.isatty():
        _bar(job)
    else:
        _lines(job)
    if not quiet and job.status is Status.FINISHED and (result := job.result):
        print(result["why"])


def _wait(job: Job) -> None:
    while job.status.live:
        time.sleep(LOOK_EVERY_S)


def _bar(job: Job) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console()) as bar:
        task = bar.add_task(job.name, total=None)
        while job.status.live:
            what, done, total = now(job)
            bar.update(task, description=what, completed=done, total=total)
            time.sleep(LOOK_EVERY_S)
        what, done, total = now(job)
        bar.update(task, description=what, completed=done, total=total)


def _lines(job: Job) -> None:
    """A line whenever something has changed."""
    last = ""
    live = True
    while live:
        live = job.status.live
        what, done, total = now(job)
        line = f"{job.name}: {what}" + (f" {done:,}/{total:,}" if total else "")
        if line != last:
            print(line, flush=True)
        last = line
        time.sleep(LOOK_EVERY_S if live else 0)


def now(job: Job) -> tuple[str, int, int | None]:
    """What the job does at this moment, how far it is, and of how much."""
    if job.status is Status.QUEUED:
        return f"waiting, {_place(job)}", 0, None
    backup = backup_of(job) if job.kind == "train" else None
    if backup and backup.waiting:
        return "backing up to the Hub", backup.uploading.get("done", 0), backup.uploading.get("total")
    if job.phase == "running" or (job.metrics.last("loss") is not None and job.phase != "preparing"):
        return _training(job), job.metrics.step, job.total_steps
    progress = job.progress
    return progress.get("what", "starting"), progress.get("done", 0), progress.get("total")


def _training(job: Job) -> str:
    """With its loss, and of pairs how often the chosen answer is preferred."""
    loss, preferred = job.metrics.last("loss"), job.metrics.last("preferred")
    of_pairs = "" if preferred is None else f", chosen answer preferred in {100 * preferred:.0f} %"
    return "training" if loss is None else f"training, loss {loss:.3f}{of_pairs}"


def _place(job: Job) -> str:
    ids = [other.id for other in queue.waiting()]
    return f"number {ids.index(job.id) + 1} in the queue" if job.id in ids else "next in the queue"


def log_lines(job: Job, go_on: bool) -> Iterator[str]:
    """The log's text, in pieces; with `go_on`, what is added until the job is over. Raises JobError without a log."""
    if not job.files.log.exists():
        raise JobError(f"{job.name} has no log: no worker has run in {job.folder}.")
    with job.files.log.open(encoding="utf-8", errors="replace") as file:
        while True:
            live = job.status.live
            yield from file
            if not go_on or not live:
                return
            time.sleep(LOOK_EVERY_S)


def _finite(value: float) -> float | None:
    return value if value == value else None  # NaN is not equal to itself
