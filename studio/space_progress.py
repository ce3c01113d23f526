"""How the newest push to a Space goes, or went; and what to do where somebody had changed the Space."""

import streamlit as st

from core.hub.space_asked import found_changed, may_be_replaced, pushes_of
from core.jobs.ending import why
from core.jobs.folder import Job
from core.jobs.status import Status
from studio.job_stop import job_under_way
from studio.layout import row
from studio.live_part import live_part
from studio.markdown import plain_lines
from studio.space_editor import take_over


def space_progress(space: str, model: str) -> dict[str, str]:
    """Nothing where there was none; what may be replaced in the Space, if that was pressed."""
    newest = next((job for job, _ in pushes_of(space=space)), None)
    if newest is None:
        return {}
    if newest.status.live:
        live_part("pushing a Space", lambda job: job_under_way(job, "space:stop"), newest)
        return {}
    return _ended(newest, space, model)


def _ended(job: Job, space: str, model: str) -> dict[str, str]:
    said = plain_lines(why(job))
    if job.status is Status.FINISHED:
        st.success(said, icon=":material/cloud_done:")
        st.link_button("Open the Space", (job.result or {})["url"], icon=":material/open_in_new:")
        return {}
    st.warning(said, icon=":material/error:")
    found = found_changed(job)
    return _choice(found, space, model) if found else {}


def _choice(found: dict[str, str], space: str, model: str) -> dict[str, str]:
    """What stands in the Space goes into the editor, or mine is pushed over exactly that."""
    with st.expander("What stands in the Space now"):
        for name, text in found.items():
            st.caption(name)
            st.code(text, height=240)
    with row():
        st.button(
            "Take it over", icon=":material/download:", key="space:take", on_click=take_over, args=(model, found),
            help="It comes into the tabs above in place of your text, to be changed further. Then push again and replace.",
        )  # fmt: skip
        pressed = st.button("Push mine and replace it", icon=":material/swap_horiz:", key="space:replace")
    return may_be_replaced(space) if pressed else {}
