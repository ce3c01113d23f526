"""Take a run elsewhere: export the adapter or a merged model, what was exported, and the way to publishing."""

import streamlit as st

from core.errors import JobError
from core.export import start
from core.export.asked import Export, parts
from core.export.made import made_by
from core.export.size import expected_bytes, folder_bytes
from core.jobs import launcher
from core.jobs.asked import read
from core.jobs.ending import can_resume, why
from core.jobs.errand import errands_of
from core.jobs.folder import Job
from core.jobs.status import Status
from studio import words
from studio.errors_shown import errors_shown
from studio.job_stop import job_under_way
from studio.layout import row, section, split
from studio.live_part import live_part
from studio.markdown import plain_lines
from studio.navigation import go_to
from studio.run_header import can_chat
from studio.session import hub_token, select_job
from studio.weights_choice import step_choice, what_choice


def export_card(run: Job) -> None:
    """A card's content; nothing for a run that has nothing to take along yet."""
    if not can_chat(run):
        return
    exports = errands_of(run, "export")
    with st.container(border=True):
        with split():
            section("Take it elsewhere")
            with row(width="content", horizontal_alignment="right"):
                _form(run, len(exports))
                if st.button("Publish", icon=":material/cloud_upload:", key="publish"):
                    select_job(run.id)
                    go_to("hub")
        if not exports:
            st.caption(
                "Export packs the adapter as a zip, or merges it into its base. Publish brings it to the Hub, with a model card."
            )
        for job in exports:
            _line(job)


def _form(run: Job, number: int) -> None:
    """With another number of exports it is another popover: an open one would hide what has come of it."""
    with st.popover("Export", icon=":material/download:", key=f"export:{number}", width="content"):
        step = step_choice(run, "export")
        what, precision = what_choice(run, "export")
        values = {"step": step, "what": what, "precision": precision}
        size = expected_bytes(Export(run=run.id, **values), run)
        label = f"Export {words.size(size)}" if size else "Export"
        if st.button(label, type="primary", width="stretch", key="export:start"):
            with errors_shown():
                start.start(run.id, values, hub_token())
                st.rerun()


def _line(job: Job) -> None:
    """One export: under way, made, or why it was not."""
    if job.status.live:
        live_part(f"exporting:{job.id}", lambda job: job_under_way(job, f"export:stop:{job.id}"), job)
        return
    made = made_by(job)
    if job.status is Status.FINISHED and (made.archive or made.model):
        _made(job)
        return
    st.warning(plain_lines(why(job)), icon=":material/error:")
    with row():
        if can_resume(job) and st.button("Go on", icon=":material/resume:", key=f"export:resume:{job.id}"):
            with errors_shown():
                launcher.resume(job, token=hub_token())
                st.rerun()
        _remove(job)


def _made(job: Job) -> None:
    made = made_by(job)
    with split():
        st.markdown(f"**{_named(job)}** :gray[· {words.size(folder_bytes(job.files.made))}]", width="content")
        with row(width="content", horizontal_alignment="right"):
            if made.archive:
                archive = made.archive
                st.download_button(
                    "Download the adapter" if made.model else "Download",
                    data=lambda: archive.open("rb"),
                    file_name=archive.name,
                    mime="application/zip",
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"export:download:{job.id}",
                )
            _remove(job)
    for path in (made.archive, made.model):
        if path:
            st.code(str(path), language=None)


def _named(job: Job) -> str:
    """Adapter and merged model of step 400"""
    try:
        asked = read(job, Export)
        wanted = parts(asked, job.recipe)
    except JobError:
        return "Export"
    names = " and ".join({"adapter": "adapter", "merged": "merged model"}[part] for part in wanted)
    precision = f" in {asked.precision}" if "merged" in wanted and asked.precision != "auto" else ""
    of = f"step {words.whole(asked.step)}" if asked.step else "the result"
    return f"{names[0].upper()}{names[1:]} of {of}{precision}"


def _remove(job: Job) -> None:
    if st.button("Remove", type="tertiary", key=f"export:remove:{job.id}", help="Deletes its files from the disk."):
        with errors_shown():
            launcher.delete(job)
            st.rerun()
