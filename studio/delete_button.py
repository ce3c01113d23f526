"""Delete a run: says first what goes."""

from pathlib import Path

import streamlit as st

from core.evaluation.asked import evaluations_of
from core.jobs import launcher
from core.jobs.folder import Job
from studio import words
from studio.markdown import plain
from studio.run_facts import final_word
from studio.session import notify, select_jobs, selected_jobs


def delete_button(job: Job) -> None:
    """Nothing while the run is live."""
    if job.status.live:
        return
    with st.popover("Delete", icon=":material/delete:", type="tertiary", key="delete"):
        st.markdown(_what_goes(job))
        if st.button(":red[Delete for good]", key="delete:yes", width="stretch"):
            name, others = job.name, [other.id for other in selected_jobs() if other != job]
            for evaluation in evaluations_of(job):
                launcher.end(evaluation, "Its run was deleted.")
                launcher.delete(evaluation)
            launcher.delete(job)
            select_jobs(others)
            notify(f"{name} is deleted.")
            st.rerun()


def _what_goes(job: Job) -> str:
    parts = [words.count(len(job.checkpoints), "checkpoint")] if job.checkpoints else []
    parts += [f"the final {final_word(job)}"] if job.final else []
    evaluations = len(evaluations_of(job))
    parts += [words.count(evaluations, "evaluation")] if evaluations else []
    parts += ["its tags and note"] if job.about.tags or job.about.note else []
    parts += ["its recipe, curve and log"]
    listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return f"**{plain(job.name)}** goes with {listed}: {words.size(_size_bytes(job.folder))} on disk."


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
