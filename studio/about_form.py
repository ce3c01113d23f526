"""What a person writes on a run: another name, tags, a note."""

from collections.abc import Iterable
from dataclasses import replace

import streamlit as st

from core.jobs.about import LONGEST_NAME, LONGEST_NOTE, About, write_about
from core.jobs.folder import Job
from studio.errors_shown import errors_shown
from studio.markdown import plain, plain_lines
from studio.session import notify, recall, remember, widget_value


def about_button(job: Job, known_tags: Iterable[str]) -> None:
    """Opens the form; nothing is kept before Save is pressed, and then what was changed in it."""
    shown = f"about:{job.id}"
    if widget_value(f"about:name:{job.id}") is None:  # from here on the form keeps what it shows
        remember(shown, job.about)
    with st.popover("Name & notes", icon=":material/edit_note:", type="tertiary", key=f"about:{job.id}"):
        with st.form(f"about:form:{job.id}", border=False):
            written = _fields(job, known_tags)
            save = st.form_submit_button("Save", type="primary", key=f"about:save:{job.id}")
        if save:
            with errors_shown():
                write_about(job.files.about, _onto(job.about, recall(shown), written))
                remember(shown, written)
                notify("Saved.")
                st.rerun()


def about_text(job: Job) -> None:
    """Tags and note, where there are any."""
    about = job.about
    if not about.tags and not about.note:
        return
    with st.container(gap="xsmall"):
        if about.tags:
            st.markdown(" ".join(f":gray-badge[{plain(tag)}]" for tag in about.tags))
        if about.note:
            st.markdown(plain_lines(about.note))


def _onto(kept: About, shown: About, written: About) -> About:
    """What another tab has kept since stays where nothing was changed in this one."""
    return replace(kept, **{name: value for name, value in vars(written).items() if value != getattr(shown, name)})


def _fields(job: Job, known_tags: Iterable[str]) -> About:
    about, own = job.about, "" if job.damage else job.recipe.name
    name = st.text_input(
        "Name", about.name or own, max_chars=LONGEST_NAME, placeholder=own or job.id, key=f"about:name:{job.id}"
    )
    tags = st.multiselect(
        "Tags",
        sorted({*known_tags, *about.tags}, key=str.casefold),
        list(about.tags),
        accept_new_options=True,
        placeholder="Choose or write",
        key=f"about:tags:{job.id}",
    )
    note = st.text_area("Note", about.note, max_chars=LONGEST_NOTE, height=120, key=f"about:note:{job.id}")
    # Its own name is not kept twice, so that an emptied field brings it back.
    return About("" if name == own else name, tuple(tags), note)
