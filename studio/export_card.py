"""Take a run elsewhere: export the adapter or a merged model, what was exported, and the way to publishing."""

from pathlib import Path

import streamlit as st

from core.errors import JobError
from core.export import start
from core.export.asked import Export, parts, precision_of_gguf
from core.export.made import made_by
from core.export.names import MODELFILE, file_name
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
from studio.markdown import plain, plain_lines
from studio.navigation import go_to
from studio.run_header import can_chat
from studio.session import hub_token, select_job
from studio.weights_choice import step_choice, what_choice

# Streamlit holds what is downloaded in memory; what is larger is taken from its folder, or from the Hub.
LARGEST_DOWNLOAD_BYTES = 1_000_000_000


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
                "Export packs the adapter as a zip, merges it into its base, or makes one GGUF file of both, for Ollama and LM "
                "Studio. Publish brings it to the Hub, with a model card."
            )
        for job in exports:
            _line(job, run)


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


def _line(job: Job, run: Job) -> None:
    """One export: under way, made, or why it was not."""
    if job.status.live:
        live_part(f"exporting:{job.id}", lambda job: job_under_way(job, f"export:stop:{job.id}"), job)
        return
    made = made_by(job)
    if job.status is Status.FINISHED and made:
        _made(job, run)
        return
    st.warning(plain_lines(why(job)), icon=":material/error:")
    with row():
        if can_resume(job) and st.button("Go on", icon=":material/resume:", key=f"export:resume:{job.id}"):
            with errors_shown():
                launcher.resume(job, token=hub_token())
                st.rerun()
        _remove(job)


def _made(job: Job, run: Job) -> None:
    made = made_by(job)
    with split():
        st.markdown(f"**{_named(job)}** :gray[· {words.size(folder_bytes(job.files.made))}]", width="content")
        with row(width="content", horizontal_alignment="right"):
            if made.archive:
                _download(job, made.archive, "Download the adapter" if made.model else "Download")
            if made.gguf and made.gguf.stat().st_size <= LARGEST_DOWNLOAD_BYTES:
                _download(job, made.gguf, "Download")
            _remove(job)
    for path in made.paths:
        st.code(str(path), language=None)
    if made.gguf:
        name = file_name(run).lower()
        st.caption("LM Studio and llama.cpp open it as it is; with Ollama:")
        st.code(f'ollama create {name} -f "{made.gguf.with_name(MODELFILE)}" && ollama run {name}', language="bash")
    if said := job.newest_event("warning"):
        st.caption(f":orange[:material/warning: {plain(str(said.get('text')))}]")


def _download(job: Job, file: Path, label: str) -> None:
    st.download_button(
        label,
        data=lambda: file.open("rb"),
        file_name=file.name,
        mime="application/zip" if file.suffix == ".zip" else "application/octet-stream",
        icon=":material/download:",
        on_click="ignore",
        key=f"export:download:{job.id}",
    )


def _named(job: Job) -> str:
    """Adapter and merged model of step 400"""
    try:
        asked = read(job, Export)
        wanted = parts(asked, job.recipe)
    except JobError:
        return "Export"
    names = " and ".join({"adapter": "adapter", "merged": "merged model", "gguf": "GGUF file"}[part] for part in wanted)
    precision = precision_of_gguf(asked) if "gguf" in wanted else asked.precision
    numbers = f" in {precision}" if wanted != ("adapter",) and precision != "auto" else ""
    of = f"step {words.whole(asked.step)}" if asked.step else "the result"
    return f"{names[0].upper()}{names[1:]} of {of}{numbers}"


def _remove(job: Job) -> None:
    if st.button("Remove", type="tertiary", key=f"export:remove:{job.id}", help="Deletes its files from the disk."):
        with errors_shown():
            launcher.delete(job)
            st.rerun()
