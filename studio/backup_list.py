"""My runs that are backed up on the Hub, and the way to bring one here."""

import streamlit as st

from core.errors import HubError
from core.hub import account, restore_asked
from core.hub.backups import FoundBackup, backups_of
from core.jobs.folder import Job
from core.jobs.listing import known_job, live_jobs
from core.jobs.status import Status
from studio import session, words
from studio.errors_shown import errors_shown
from studio.hub_question import asked, forget, wait_shortly
from studio.job_stop import job_under_way
from studio.layout import row, section, split
from studio.live_part import live_part
from studio.local_time import when
from studio.markdown import plain
from studio.navigation import open_run

A_PAGE = 6
# The restore that this tab began last.
BEGUN = "restore begun"


def backup_list() -> None:
    """A card: what is on the Hub, a button for each, and what is being restored."""
    token = session.hub_token() or account.token()
    with st.container(border=True):
        with split():
            with st.container(gap=None, width="content"):
                section("Backups")
                st.caption("Runs whose checkpoints go to the Hub while they learn. Restored here, each goes on.")
            if token:
                again = {"on_click": forget, "args": (_question(token),)}
                st.button("Look again", icon=":material/refresh:", type="tertiary", key="backups:again", **again)
        _restores()
        if token is None:
            st.caption("Sign in to see yours.")
            return
        _of_the_hub(token)
        _by_name()


def _question(token: str) -> str:
    """Another token is another question; what it is called must not tell the token."""
    return f"backups {hash(token)}"


def _of_the_hub(token: str) -> None:
    try:
        found = wait_shortly(asked(_question(token), lambda: backups_of(token)))
    except HubError as error:
        st.markdown(f":orange[:material/cloud_off:] {plain(str(error))}")
        return
    if found is None:
        st.caption(":shimmer[Asking the Hub for your backups…]")
    elif not found:
        st.caption(
            "There are none yet. A run gets one by **Back up to**, on the page LoRA under Evaluation and checkpoints."
        )
    for one in _on_this_page(found or []):
        _line(one)


def _on_this_page(found: list[FoundBackup]) -> list[FoundBackup]:
    pages = -(-len(found) // A_PAGE)
    page = st.pagination(pages, key="backups:page") if pages > 1 else 1
    return found[(page - 1) * A_PAGE : page * A_PAGE]


def _line(one: FoundBackup) -> None:
    """support-bot · ann/support-bot · step 900 of 2,000 · 310 MB · yesterday, and what can be done with it."""
    here = known_job(one.job)
    facts = [plain(one.repository), _step(one), words.size(one.size_bytes), when(one.changed.timestamp())]
    with split():
        st.markdown(f"**{plain(one.name)}** :gray[· {' · '.join(facts)}]", width="content")
        with row(width="content", horizontal_alignment="right"):
            if here:
                st.badge("On this machine", color="gray", icon=":material/check:")
                if st.button("Open", key=f"backup:open:{one.repository}"):
                    open_run(here)
            elif st.button("Restore", icon=":material/cloud_download:", key=f"backup:restore:{one.repository}"):
                _restore(one.repository)


def _step(one: FoundBackup) -> str:
    if one.step is None:
        return "no checkpoint yet"
    of = f" of {words.whole(one.total_steps)}" if one.total_steps else ""
    return f"step {words.whole(one.step)}{of}, {plain(one.status)}"


def _by_name() -> None:
    """A backup of somebody else, who lets one read it."""
    with st.expander("Restore another backup"), st.form("backup:named", border=False):
        line = {"horizontal": True, "vertical_alignment": "bottom", "gap": "xsmall"}
        with st.container(**line):
            named = st.text_input("Repository", placeholder="owner/name", width=320, key="backup:name")
            pressed = st.form_submit_button("Restore", key="backup:named restore")
    if pressed and named:
        _restore(named)


def _restore(repository: str) -> None:
    with errors_shown():
        session.remember(BEGUN, restore_asked.start(repository, token=session.hub_token()).id)
        st.rerun()


def _restores() -> None:
    """Those under way, and how the last one of this tab ended."""
    jobs = live_jobs("restore")
    begun = known_job(session.recall(BEGUN))
    for job in jobs + ([begun] if begun and begun not in jobs else []):
        live_part(f"restore:{job.id}", _state, job)
    for job, repository in restore_asked.cut_off():
        _cut_off(job, repository)


def _cut_off(job: Job, repository: str) -> None:
    """What was fetched before the Hub or the machine was gone: go on with it, or make room."""
    fetched = sum(file.lstat().st_size for file in job.files.fetched.rglob("*") if file.is_file())
    with split():
        st.markdown(
            f"**{plain(repository)}** :gray[· the restore was cut off, {words.size(fetched)} of it are here]",
            width="content",
        )
        with row(width="content", horizontal_alignment="right"):
            discard = {"on_click": restore_asked.discard, "args": (job,), "key": f"restore:discard:{job.id}"}
            st.button("Discard", icon=":material/delete:", type="tertiary", **discard)
            if st.button("Go on", icon=":material/resume:", key=f"restore:again:{job.id}"):
                _restore(repository)


def _state(job: Job) -> None:
    if job.status.live:
        job_under_way(job, f"restore:stop:{job.id}")
        return
    result = job.result or {}
    box = st.success if job.status is Status.FINISHED else st.error
    box(plain(str(result.get("why", "The restore ended without a result. Try it again."))))
    run = known_job(result.get("run"))
    if run and st.button("Open the run", type="primary", icon=":material/monitoring:", key=f"restore:open:{job.id}"):
        session.remember(BEGUN, None)
        open_run(run)
