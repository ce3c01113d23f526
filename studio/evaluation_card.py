"""Did it help? What an evaluation found, or the button that starts one, for one run."""

import streamlit as st

from core.evaluation.asked import Evaluation
from core.evaluation.report import Findings, read
from core.jobs import asked, errand
from core.jobs.ending import why
from core.jobs.folder import Job
from core.models.begun import left_out_of
from core.training.held_out_events import before_and_after, in_words, preference
from studio import words
from studio.evaluation_form import evaluation_form
from studio.evaluation_tables import findings_shown
from studio.job_stop import job_under_way
from studio.layout import kv, row, section, split
from studio.live_part import live_part
from studio.markdown import plain, plain_lines


def evaluation_card(run: Job) -> None:
    """A card's content; nothing for a run that has nothing to compare yet."""
    if not (run.final or run.checkpoints):
        return
    evaluations = errand.errands_of(run, "evaluate")
    newest = next(iter(evaluations), None)
    # What an earlier one has found stands until another has found something.
    found = next(((job, findings) for job in evaluations if (findings := read(job.files))), None)
    with st.container(border=True):
        with split():
            section("Did it help?")
            if not run.status.live and not (newest and newest.status.live):
                evaluation_form(run, again=newest is not None)
        if newest and newest.status.live:
            live_part("evaluating", lambda job: job_under_way(job, "evaluating:stop"), newest)
        elif newest and (not found or found[0] is not newest):
            st.warning(plain_lines(why(newest)), icon=":material/error:")
        if found:
            _found(*found)
        elif not newest:
            _while_training(run)


def _found(job: Job, findings: Findings) -> None:
    step = asked.read(job, Evaluation).step
    findings_shown(findings, job.id, f"step {words.whole(step)}" if step else "the result")


def _while_training(run: Job) -> None:
    """What the training itself has measured, without a range."""
    losses = before_and_after(run)
    if not losses:
        st.caption(
            f"Evaluate compares the base with what it became: on held-out {'pairs' if run.recipe.objective.pairs else 'rows'}, on "
            "everyday questions, and by their answers."
        )
        return
    for name, (before, after) in losses.items():
        kv(plain(in_words(run, name)), _change(run, before, after))
    if preferred := preference(run):
        st.markdown(plain(preferred))
    with row():
        st.caption(f"Measured while training{_since(run)}. Evaluate says how sure that is, and what was forgotten.")


def _since(run: Job) -> str:
    """What the first figure is of, where that is not the base."""
    if left_out := left_out_of(run):
        return f", the first with {left_out.words} left out and nothing learned"
    return ", the first with the adapter it began with" if run.recipe.model.start_from else ""


def _change(run: Job, before: float, after: float) -> str:
    """2.310 → **1.420** · perplexity 10.07 → **4.14**; of pairs the loss alone, which is in no nats a token."""
    if run.recipe.objective.pairs:
        return f"{words.loss(before)} → **{words.loss(after)}**"
    perplexities = f"perplexity {words.perplexity(before)} → **{words.perplexity(after)}**"
    return f"{words.loss(before)} → **{words.loss(after)}** :gray[·] {perplexities}"
