"""Resume a training that is over but not done: from its newest checkpoint, or from an earlier one, which says what goes."""

from collections.abc import Iterable

import streamlit as st

from core.jobs import launcher
from core.jobs.ending import can_resume
from core.jobs.folder import Job
from studio import words
from studio.errors_shown import errors_shown
from studio.navigation import open_run
from studio.session import hub_token

ICON = ":material/resume:"


def resume_button(job: Job, step: int | None = None, key: str = "resume", primary: bool = True) -> None:
    """Nothing where the run cannot be resumed. Without a step: from the newest checkpoint, or from the start."""
    if not can_resume(job):
        return
    kind = "primary" if primary else "secondary"
    if step is None:
        newest = max(_steps(job), default=None)
        if st.button(_label(newest), icon=ICON, type=kind, help=_repeated(job, newest or 0), key=key):
            _resume(job, None)
    elif not _goes(job, step):
        if st.button("Resume", type=kind, help=_repeated(job, step), key=key):
            _resume(job, step)
    else:
        with st.popover("Resume", type=kind, key=f"{key}:ask"):
            st.markdown(f"{_goes(job, step)}.")
            if st.button(_label(step), key=key, width="stretch"):
                _resume(job, step)


def _resume(job: Job, step: int | None) -> None:
    with errors_shown():
        open_run(launcher.resume(job, step, hub_token()))


def _label(step: int | None) -> str:
    return "Resume from the start" if step is None else f"Resume from step {words.whole(step)}"


def _repeated(job: Job, step: int) -> str | None:
    """How much of what was reported is trained again."""
    again = job.metrics.step - step
    return f"Repeats {words.count(again, 'step')} that came after it." if step and again > 0 else None


def _goes(job: Job, step: int) -> str:
    """What is removed by going back to a step: later checkpoints, and the curve after it; empty where nothing is."""
    later = sum(other > step for other in _steps(job))
    parts = [words.count(later, "later checkpoint")] if later else []
    parts += [f"the curve after step {words.whole(step)}"] if job.metrics.step > step else []
    verb = "is" if len(parts) == 1 and later < 2 else "are"
    return f"{' and '.join(parts)} {verb} removed".capitalize() if parts else ""


def _steps(job: Job) -> Iterable[int]:
    return [checkpoint.step for checkpoint in job.checkpoints]
