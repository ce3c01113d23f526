"""Choose the data: the draft's data sets line by line, and the ways to add one."""

from typing import Any

import streamlit as st

from core import catalog
from core.catalog import Dataset
from core.data.expected import expected_mix
from core.data.readers.table import KINDS, READERS
from core.errors import StudioError
from core.feedback import PAIRS, FeedbackSet, feedback_sets
from core.jobs.preflight import check
from core.recipe import Recipe, parse
from studio import draft, recipe_form, session, words
from studio.data_source import data_source, kinds_of, source_name
from studio.errors_shown import errors_shown
from studio.layout import row, section, split
from studio.markdown import plain
from studio.mix_view import is_mixed, mix_summary
from studio.plan_panel import length_note
from studio.uploads import keep_upload

HELD_OUT = [0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3]
TRAIN_ON = {"assistant": "Answers only", "all": "Every token"}
TYPED_KEY, UPLOADS_KEY = "data:typed", "uploads taken"


def data_picker() -> None:
    """Title with the ways to add, then one line for each data set, then how they are read."""
    recipe = session.draft()
    with split(gap="xsmall"):
        section("Data")
        with row(width="content", horizontal_alignment="right"):
            _upload()
            _add()
    mix = expected_mix(recipe)
    with st.container(border=True, gap="small"):
        for index in range(len(mix)):
            data_source(index, recipe, mix)
    if is_mixed(recipe):
        mix_summary(recipe, mix)


def reading_settings() -> None:
    """The three fields that say how rows become examples."""
    one, two, three = st.columns(3, gap="medium")
    with one:
        recipe_form.number("data.max_length", step=128)
    with two:
        _held_out(session.draft())
    with three:
        recipe_form.choice("data.train_on", TRAIN_ON)
    length_note(session.draft())


def _held_out(recipe: Recipe) -> None:
    """The share of each data set, where no data set is held out as a whole."""
    aside = [source_name(source.source, source.config) for source in recipe.data.sources if source.use == "held_out"]
    if not aside:
        return recipe_form.slider("data.eval_fraction", HELD_OUT, words.percent)
    st.markdown(f"{recipe_form.field('data.eval_fraction').title}  \n**{plain(', '.join(aside))}**, as a whole")


def _upload() -> None:
    with st.popover("Upload files", icon=":material/upload_file:", key="data:upload popover"):
        key = f"data:upload:{session.recall(UPLOADS_KEY, 0)}"  # a new key empties the widget
        st.file_uploader(
            f"Files of rows: {KINDS}",
            type=list(READERS),
            accept_multiple_files=True,
            key=key,
            on_change=_take_uploads,
            args=(key,),
        )


def _take_uploads(key: str) -> None:
    uploads = session.widget_value(key)
    if not uploads:
        return
    session.remember(UPLOADS_KEY, session.recall(UPLOADS_KEY, 0) + 1)
    problems = [problem for upload in uploads if (problem := _take_upload(upload))]
    if problems:
        session.notify(" ".join(problems))


def _take_upload(upload: Any) -> str | None:
    """One more data set; or why it is none."""
    try:
        source = keep_upload(upload, upload.name)
    except StudioError as error:
        return f"{upload.name}: {error}"
    if source in {known.source for known in session.draft().data.sources}:
        return f"{upload.name} is there already."
    draft.add_source({"source": source})
    return None


def _add() -> None:
    with (
        st.popover("Add data set", icon=":material/add:", key="data:add popover"),
        st.container(width=420, gap="small"),
    ):
        used = {(source.source, source.config) for source in session.draft().data.sources}
        for feedback in feedback_sets():
            if (feedback.source, None) not in used:
                _feedback(feedback)
        for known in catalog.datasets():
            if known.tasks:
                _tasks(known, [task for task in known.tasks if (known.source, task) not in used])
            elif (known.source, known.config) not in used:
                _known(known)
        typed = st.text_input("Hub id, or path of a file or folder", placeholder="owner/name", key=TYPED_KEY)
        if typed and typed.strip():
            _offer(typed.strip())


def _known(known: Dataset) -> None:
    _offered(known.name, known.rows, known.description, known.as_source())


def _feedback(feedback: FeedbackSet) -> None:
    what = "A better and a worse answer to each question:" if feedback.name == PAIRS else "Answers"
    _offered(feedback.title, feedback.rows, f"{what} {kinds_of(feedback)}", {"source": feedback.source})


def _offered(name: str, rows: int, description: str, source: dict[str, Any]) -> None:
    with split(gap="small"):
        with st.container(gap=None):
            st.markdown(f"**{plain(name)}** :gray[{words.count(rows, 'row')}]")
            st.caption(plain(description))
        st.button("Add", key=f"add:{source['source']}", on_click=draft.add_source, args=(source,))


def _tasks(known: Dataset, left: list[str]) -> None:
    """A data set of which each configuration asks something else: choose some of them."""
    with st.container(gap=None):
        st.markdown(f"**{plain(known.name)}** :gray[{words.count(len(known.tasks), 'task')}]")
        st.caption(plain(known.description))
    key = f"tasks:{known.source}"
    with split(gap="small"):
        st.multiselect(
            f"Tasks of {known.name}",
            left,
            format_func=lambda task: known.tasks[task].name,
            placeholder="Choose tasks",
            label_visibility="collapsed",
            key=key,
        )
        st.button("Add", key=f"add:{known.source}", on_click=_take_tasks, args=(known, key))


def _take_tasks(known: Dataset, key: str) -> None:
    chosen = session.widget_value(key) or []
    session.show_in(key, [])
    for task in chosen:
        draft.add_source(known.as_source(task))


def _offer(typed: str) -> None:
    """Add what was typed, if it can be a data set; else say why not."""
    with errors_shown():
        check(parse({"data": {"sources": [{"source": typed}]}}), "prepare")
        st.button(f"Add {plain(typed)}", icon=":material/add:", key="data:typed add", on_click=_take, args=(typed,))


def _take(typed: str) -> None:
    known = catalog.dataset(typed)
    if draft.add_source(known.as_source() if known else {"source": typed}):
        session.show_in(TYPED_KEY, "")
