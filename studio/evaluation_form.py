"""What an evaluation is asked, in a popover: everything has a default, so one press is enough."""

import streamlit as st

from core.evaluation import start
from core.evaluation.asked import Evaluation
from core.jobs.folder import Job
from studio import words
from studio.errors_shown import errors_shown
from studio.session import hub_token

RESULT = "The result"


def evaluation_form(run: Job, again: bool) -> None:
    """`again` where the run has been evaluated before."""
    with st.popover(
        "Evaluate again" if again else "Evaluate", icon=":material/balance:", key="evaluate", width="content"
    ):
        steps = [checkpoint.step for checkpoint in reversed(run.checkpoints)]
        options = [*([RESULT] if run.final else []), *steps]
        chosen = st.selectbox("Compare the base with", options, format_func=_named, key=f"evaluate:step:{run.id}")
        written = st.text_area(
            _title("prompts"),
            placeholder="one a line; empty: the first held-out rows",
            help=_help("prompts"),
            key="evaluate:prompts",
        )
        general = st.text_input(
            _title("general"), value=_default("general"), help=_help("general"), key="evaluate:general"
        )
        left, right = st.columns(2, gap="small")
        rows = left.number_input(
            _title("most_rows"), 8, 20_000, _default("most_rows"), 100, help=_help("most_rows"), key="evaluate:rows"
        )
        longest = right.number_input(
            _title("longest_answer"),
            1,
            4096,
            _default("longest_answer"),
            32,
            help=_help("longest_answer"),
            key="evaluate:longest",
        )
        tests = st.text_input(
            _title("tasks"), placeholder="none; names with spaces between", help=_help("tasks"), key="evaluate:tasks"
        )
        if st.button("Start the evaluation", type="primary", width="stretch", key="evaluate:start"):
            asked = {"prompts": [line.strip() for line in written.splitlines() if line.strip()]}
            asked |= {"general": general, "most_rows": rows, "longest_answer": longest, "tasks": tests.split()}
            with errors_shown():
                start.start(run.id, asked | ({} if chosen == RESULT else {"step": chosen}), hub_token())
                st.rerun()


def _named(option: int | str) -> str:
    return option if isinstance(option, str) else f"Step {words.whole(option)}"


def _title(name: str) -> str:
    return Evaluation.model_fields[name].title or name


def _help(name: str) -> str | None:
    return Evaluation.model_fields[name].description


def _default(name: str):
    return Evaluation.model_fields[name].default
