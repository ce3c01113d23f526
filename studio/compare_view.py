"""Several runs beside each other: their curves on one chart, and in which settings they differ."""

from collections import Counter
from typing import Any

import streamlit as st

from core.jobs.folder import Job
from core.recipe import Recipe
from core.training.held_out_events import newest_measured
from studio import charts, words
from studio.layout import row, section, split
from studio.live_part import live_part
from studio.local_time import clock, when
from studio.markdown import plain
from studio.overlay_chart import finding, overlay_figure
from studio.recipe_diff import Settings, differing, settings, titles, written
from studio.run_line import AXES, BOTH, HELD_OUT, SHOWN, line_of
from studio.session import select_job
from studio.status_chip import word

MOST = 6
# So many columns fit beside the chart.
NARROW = 3


def compare_view(jobs: list[Job]) -> None:
    """`jobs` in the order of their colours."""
    with split():
        with row(width="content"):
            section("Compare")
            st.caption(f"{len(jobs)} selected", width="content")
        if st.button("Clear selection", icon=":material/close:", type="tertiary", key="clear"):
            select_job(None)
            st.rerun()
    shown = [job for job in jobs if not job.damage][:MOST]
    if left_out := _left_out(jobs):
        st.caption(left_out)
    if shown:
        _compare(shown)


def labels_of(jobs: list[Job]) -> list[str]:
    """Their names; with the time they began where several have the same, and at last the id."""
    names = [job.name for job in jobs]
    timed = [
        f"{name}, {_moment(job)}" if names.count(name) > 1 else name for name, job in zip(names, jobs, strict=True)
    ]
    times = Counter(timed)
    return [label if times[label] == 1 else job.id for label, job in zip(timed, jobs, strict=True)]


def _moment(job: Job) -> str:
    day = when(job.created)
    return day if ":" in day else f"{day} {clock(job.created)}"


def _left_out(jobs: list[Job]) -> str:
    damaged = [job for job in jobs if job.damage]
    parts = [f"{plain(job.name)} cannot be read, so it is left out." for job in damaged]
    if len(jobs) - len(damaged) > MOST:
        parts.append(f"At most {MOST} runs are compared: the first {MOST} that were selected.")
    return " ".join(parts)


def _compare(jobs: list[Job]) -> None:
    labels = labels_of(jobs)
    live = next((job for job in jobs if job.status.live), jobs[0])
    grid = st.grid(2 if len(jobs) <= NARROW else 1, min_column_width=400, border=True)
    with grid.cell():
        live_part("compare:loss", lambda _: _curves(jobs, labels), live)
    with grid.cell():
        live_part("compare:recipes", lambda _: _recipes(jobs, labels), live)


def _curves(jobs: list[Job], labels: list[str]) -> None:
    with split():
        section("Loss")
        shown, over = _controls()
    lines = [line_of(job, label, over, shown) for job, label in zip(jobs, labels, strict=True)]
    figure = overlay_figure(lines, over)
    if not figure["data"]:
        st.caption(f"None of these runs has {'a held-out loss' if shown == HELD_OUT else 'made a step'} yet.")
        return
    charts.show(figure, alt=finding(lines), key="compare")
    if len({_objective(job.recipe) for job in jobs}) > 1:
        st.caption("These runs learn by different objectives, or betas of one. Loss compares only within the same.")
    elif len({_stays_near(job.recipe) for job in jobs}) > 1:
        st.caption("These runs are held near what they began with, and began differently: their losses do not compare.")
    elif len({job.recipe.model.source for job in jobs}) > 1:
        st.caption("These runs teach different base models. Loss compares only within one base model.")
    elif len(_held_out(jobs)) > 1 and not _comparable(jobs):
        st.caption(
            "These runs hold out different rows, or count other tokens of them: their held-out losses do not compare."
        )


def _controls() -> tuple[str, str]:
    with row(width="content", horizontal_alignment="right"):
        look: Any = {"required": True, "label_visibility": "collapsed"}
        shown = st.segmented_control("Loss of", SHOWN, default=BOTH, key="compare:shown", **look)
        over = st.segmented_control("Over", list(AXES), default="Steps", key="compare:over", **look)
    return shown, over


def _recipes(jobs: list[Job], labels: list[str]) -> None:
    recipes = [settings(job.recipe) for job in jobs]
    different = differing(recipes)
    with split():
        section("Recipe")
        only = st.toggle("Only differences", value=True, key="compare:only")
    rows = different if only else titles(recipes)
    st.table(_table(jobs, labels, recipes, rows), border="horizontal", hide_index=True, alt="Recipes and results")
    same = len(titles(recipes)) - len(different)
    st.caption(f"{words.count(same, 'setting')} {'is' if same == 1 else 'are'} the same in all.")


def _table(jobs: list[Job], labels: list[str], recipes: list[Settings], rows: list[str]) -> dict[str, list[str]]:
    """A column for each run: its settings, then what came of them."""
    preferred = ["Chosen preferred"] if _prefer_alike(jobs) else []
    columns: dict[str, list[str]] = {" ": [*rows, "Best held-out", *preferred, "Time", "Status"]}
    best = _best(jobs)
    for job, label, recipe, colour in zip(jobs, labels, recipes, charts.palette().runs, strict=False):
        loss = job.metrics.best_held_out_loss
        mark = ":green[:material/trophy: **{}**]" if loss is not None and loss == best else "{}"
        shares = [words.percent(newest_measured(job).get("preferred")) for _ in preferred]
        results = [mark.format(words.loss(loss)), *shares, words.duration(job.duration_s), word(job.status)]
        chosen = [plain(written(recipe.get(title))) for title in rows]
        columns[f':color[●]{{foreground="{colour}"}} {plain(label)}'] = chosen + results
    return columns


def _best(jobs: list[Job]) -> float | None:
    """The lowest held-out loss, where it can be compared."""
    known = _held_out(jobs)
    return min(known) if len(known) > 1 and _comparable(jobs) else None


def _held_out(jobs: list[Job]) -> list[float]:
    """The best held-out loss of each that has one."""
    return [loss for job in jobs if (loss := job.metrics.best_held_out_loss) is not None]


def _comparable(jobs: list[Job]) -> bool:
    """Whether all are measured on the same tokens: which rows are held out follows from the data and the seed."""
    measured = [_measured_on(job.recipe) for job in jobs]
    return all(one == measured[0] for one in measured)


def _measured_on(recipe: Recipe) -> Any:
    """Without what decides only how often the other rows are learned."""
    data = recipe.data.model_dump(exclude={"packing": True, "mixing": True, "sources": {"__all__": {"weight"}}})
    loss = _objective(recipe), _stays_near(recipe)
    return recipe.model.source, recipe.model.chat_template, data, recipe.training.seed, loss


def _objective(recipe: Recipe) -> tuple[str, float | None]:
    """What its loss is; with pairs beta is part of it."""
    return recipe.training.objective, recipe.training.beta if recipe.objective.pairs else None


def _prefer_alike(jobs: list[Job]) -> bool:
    """Whether all say by the same objective which answer they prefer, be it with other betas."""
    return all(job.recipe.objective.pairs for job in jobs) and len({job.recipe.training.objective for job in jobs}) == 1


def _stays_near(recipe: Recipe) -> tuple[str | None, int] | None:
    """What of the model dpo compares with: its loss says how far a run has moved from where it began, not where it is."""
    return (recipe.model.start_from, recipe.model.drop_layers) if recipe.objective.reference else None
