"""Publish what was trained: which weights, where to, who may see them; what it will look like; and how it went."""

from dataclasses import dataclass

import streamlit as st

from core.ascii_name import repository_name
from core.errors import JobError
from core.export.asked import parts
from core.export.size import expected_bytes
from core.hub import publication
from core.hub.publication import Publication
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.training.methods import METHODS
from core.where import Place, place_of
from studio import words
from studio.compare_view import labels_of
from studio.errors_shown import errors_shown
from studio.hub_account import account_known
from studio.layout import kv, section
from studio.local_time import when
from studio.markdown import plain
from studio.publish_card import publish_card
from studio.publish_name import Name, looked_up
from studio.publish_progress import publish_progress
from studio.run_header import can_chat
from studio.session import hub_token, selected_job
from studio.weights_choice import step_choice, what_choice


def publish_form() -> None:
    """Two cards, the form and the model card it leads to; one sentence where there is nothing to publish yet."""
    runs = [job for job in all_jobs("train") if can_chat(job)]
    if not runs:
        with st.container(border=True):
            section("Publish")
            st.caption(
                "A run with a result or a checkpoint can be published here, with a model card that tells what it is."
            )
        return
    grid = st.grid(2, min_column_width=400, border=True)
    with grid.cell():
        wish = _form(runs)
    with grid.cell():
        publish_card(wish.asked, wish.run)


@dataclass(frozen=True)
class _Wish:
    """What the form says now; `asked` is None where that cannot be."""

    run: Job
    asked: Publication | None


def _form(runs: list[Job]) -> _Wish:
    section("Publish")
    run = _run_choice(runs)
    step = step_choice(run, "publish")
    repository = _repository(run)
    what, precision = what_choice(run, "publish", "merged" if _is_local(run) else None)
    values = {"step": step, "repository": repository, "what": what, "precision": precision}
    asked = _asked(run, values)
    name = looked_up(repository) if asked else Name(repository)
    _go(run, asked, values | {"private": _private(name)}, name)
    publish_progress(run)
    return _Wish(run, asked)


def _run_choice(runs: list[Job]) -> Job:
    """The run that is selected elsewhere comes first."""
    chosen = selected_job()
    place = runs.index(chosen) if chosen in runs else 0
    labels = _run_labels(runs)
    return st.selectbox("Run", runs, index=place, format_func=lambda run: labels[run.id], key="publish:run")


def _run_labels(runs: list[Job]) -> dict[str, str]:
    """No two alike: of those the list gives the same run, whichever is pressed."""
    labels = {}
    for run, label in zip(runs, labels_of(runs), strict=True):
        moment = f" · {when(run.created)}" if label == run.name else ""
        unfinished = "" if run.status is Status.FINISHED else f" · {run.status}"
        labels[run.id] = f"{label}{moment}{unfinished}"
    return labels


def _is_local(run: Job) -> bool:
    """Whether its base is a folder of this machine, without which its adapter is of no use to others."""
    return place_of(run.recipe.model.source) is Place.LOCAL and not METHODS[run.recipe.lora.method].whole


def _repository(run: Job) -> str:
    found = account_known()
    owners = list(found.writable) if found else []
    left, right = st.columns([1, 2], gap="xsmall")
    # Another account has other owners: a widget that was drawn without any would go on choosing none.
    key = f"publish:owner:{found.name if found else ''}"
    owner = left.selectbox("Owner", owners, key=key, disabled=not owners, placeholder="sign in first")
    name = right.text_input(
        "Repository",
        value=repository_name(run.name, "my-model"),
        key=f"publish:name:{run.id}",
        max_chars=96,
        help=Publication.model_fields["repository"].description,
    )
    return f"{owner or 'you'}/{name.strip()}"


def _private(name: Name) -> bool:
    """As it is there: a public model does not vanish because it is published again."""
    return st.toggle(
        "Private",
        value=name.private is not False,
        key="publish:private" if name.private is None else f"publish:private:{name.repository}:{name.private}",
        help=Publication.model_fields["private"].description,
    )


def _asked(run: Job, values: dict) -> Publication | None:
    """What is wished, if it can be; else says why not."""
    try:
        asked = publication.asked_for(run.id, values)
    except JobError as error:
        st.caption(f":orange[:material/warning: {plain(str(error))}]")
        return None
    return asked


def _go(run: Job, asked: Publication | None, values: dict, name: Name) -> None:
    size_bytes = expected_bytes(asked, run) if asked else None
    for part in parts(asked, run.recipe) if asked else ():
        one = expected_bytes(asked.model_copy(update={"what": part}), run)
        kv({"adapter": "Adapter", "merged": "Model", "gguf": "GGUF file"}[part], f"**{words.size(one)}**")
    if name.said:
        st.caption(name.said)
    label = f"Publish {words.size(size_bytes)}" if size_bytes else "Publish"
    if st.button(
        label,
        icon=":material/cloud_upload:",
        type="primary",
        width="stretch",
        disabled=not name.usable,
        key="publish:go",
    ):
        with errors_shown():
            publication.start(run.id, values, hub_token())
            st.rerun()
