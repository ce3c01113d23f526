"""How far a job is, as a share and in words: from its numbers while it trains, from its events before."""

import time

import streamlit as st

from core.hub.backup_state import backup_of
from core.jobs.folder import Job
from core.jobs.status import Status
from studio import words
from studio.backup_words import waiting_text
from studio.local_time import clock
from studio.markdown import plain
from studio.queue_card import place_of

STARTING = "Starting the worker"


def share_done(job: Job) -> float:
    """0 to 1; only steps count, so preparing is 0."""
    if job.status is Status.FINISHED:
        return 1.0
    total = job.total_steps
    return min(1.0, job.metrics.step / total) if total else 0.0


def percent_done(job: Job) -> int:
    return round(100 * share_done(job))


def progress_bar(job: Job) -> None:
    """The bar with its line of text; before the first step, what is being done."""
    if job.status is Status.QUEUED:
        st.progress(share_done(job), text=f"**Waiting for its turn** · number {place_of(job) or 1} in the queue")
    elif (backup := backup_of(job)) and backup.waiting:
        st.progress(backup.share, text=waiting_text(job, backup))
    elif job.total_steps and job.phase != "preparing":
        st.progress(share_done(job), text=_training_text(job))
    elif job.metrics.step:
        st.progress(share_done(job), text=f"**Going on from a checkpoint** · {_preparing_text(job)}")
    else:
        st.progress(_share_prepared(job), text=_preparing_text(job))


def brief(job: Job) -> str:
    """One line for the sidebar: 412 / 1,125 · 23 min left"""
    if not job.total_steps or job.phase == "preparing":
        return plain(job.progress.get("what", STARTING))
    if (backup := backup_of(job)) and backup.waiting:
        return "Backing up to the Hub"
    left = time_left_s(job)
    rest = f" · {words.duration(left)} left" if left is not None else ""
    return f"{words.whole(job.metrics.step)} / {words.whole(job.total_steps)}{rest}"


def time_left_s(job: Job) -> float | None:
    return job.metrics.last("left_s") if job.status.live else None


def _training_text(job: Job) -> str:
    epoch, epochs = job.metrics.last("epoch"), job.recipe.training.epochs
    parts = [f"**Step {words.whole(job.metrics.step)}** of {words.whole(job.total_steps)}"]
    if epoch is not None and not job.recipe.training.max_steps:
        parts.append(f"epoch {epoch:.2f} of {epochs:g}")
    parts.append(f"{words.duration(job.duration_s)} {'elapsed' if job.status.live else 'in all'}")
    return " · ".join(parts + _end(job))


def _end(job: Job) -> list[str]:
    if job.status is Status.STOPPING:
        return ["**finishing the step, then saving**"]
    if job.kind == "train" and job.status.live and not len(job.metrics) and job.recipe.data.eval_fraction:
        return ["measuring the held-out loss before the first step"]
    left = time_left_s(job)
    return [f"**{words.about(left)}, done near {clock(time.time() + left)}**"] if left is not None else []


def _share_prepared(job: Job) -> float:
    done, total = job.progress.get("done", 0), job.progress.get("total", 0)
    return min(1.0, done / total) if total else 0.0


def _preparing_text(job: Job) -> str:
    live = job.status.live
    what = plain(job.progress.get("what", STARTING if live else "Ended at the start"))
    share = f" · {words.percent(_share_prepared(job))}" if _share_prepared(job) else ""
    return f"**{what}**{share} · {words.duration(job.duration_s)} {'elapsed' if live else 'in all'}"
