"""Delete a run: says first what goes."""

from collections import Counter
from pathlib import Path

import streamlit as st

from core.hub.backup_state import backup_of
from core.jobs import launcher
from core.jobs.ending import can_resume
from core.jobs.errand import all_errands_of
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.training.start import parent_of
from studio import words
from studio.markdown import plain
from studio.run_facts import final_word
from studio.session import notify, select_jobs, selected_jobs

# Of what is on the Hub nothing goes: only the job that brought it there.
NAMES = {"evaluate": "evaluation", "export": "export", "publish": "record of a publication"}


def delete_button(job: Job) -> None:
    """Nothing while the run is live."""
    if job.status.live:
        return
    with st.popover("Delete", icon=":material/delete:", type="tertiary", key="delete"):
        st.markdown(what_goes(job))
        if st.button(":red[Delete for good]", key="delete:yes", width="stretch"):
            name, chosen = job.name, [other.id for other in selected_jobs() if other != job]
            for other in all_errands_of(job):
                launcher.end(other, "Its run was deleted.")
                launcher.delete(other)
            launcher.delete(job)
            select_jobs(chosen)
            notify(f"{name} is deleted.")
            st.rerun()


def what_goes(job: Job) -> str:
    """What is deleted with a run, in words, and what stays of it on the Hub."""
    parts = [words.count(len(job.checkpoints), "checkpoint")] if job.checkpoints else []
    parts += [f"the final {final_word(job)}"] if job.final else []
    errands = all_errands_of(job)
    counts = Counter(other.kind for other in errands)
    parts += [words.count(counts[kind], name) for kind, name in NAMES.items() if counts[kind]]
    parts += ["its tags and note"] if job.about.tags or job.about.note else []
    parts += ["its recipe, curve and log"]
    size_bytes = sum(_size_bytes(each.folder) for each in (job, *errands))
    listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    told = f"**{plain(job.name)}** goes with {listed}: {words.size(size_bytes)} on disk."
    return told + _what_stays(job) + _what_needs_it(job)


def _what_stays(job: Job) -> str:
    backup = backup_of(job)
    if not backup or backup.safe_step is None:
        return ""
    return f" Its backup stays on the Hub: {plain(backup.repository)}, step {words.whole(backup.safe_step)}."


def _what_needs_it(job: Job) -> str:
    """Runs that are to begin with it, and have no checkpoint of their own yet."""
    runs = [run for run in all_jobs("train") if not run.damage and parent_of(run.recipe) == job.id]
    names = [plain(run.name) for run in runs if (run.status.live or can_resume(run)) and not run.checkpoints]
    return f" Without it these cannot begin: {', '.join(names)}." if names else ""


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
