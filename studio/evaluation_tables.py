"""What an evaluation found: the verdicts in a sentence each, the losses, the answers side by side."""

import pandas as pd
import streamlit as st

from core.evaluation.compare import DRAWS, LOSS, Compared
from core.evaluation.report import Findings, TaskScore, percent, points
from studio import words
from studio.layout import row, split
from studio.markdown import plain, unlinked

COLOURS = {
    "better": "green",
    "worse": "red",
    "no difference": "gray",
    "too few rows": "orange",
    "no number": "red",
}
ICONS = {
    "no difference": "drag_handle",
    "too few rows": "help",
    "no number": "error",
}


def findings_shown(findings: Findings, name: str, of: str) -> None:
    """`name` names the files that are downloaded; `of` is what was compared with the base."""
    for found, sentence in _verdicts(findings):
        _verdict(found, sentence)
    if findings.sets:
        st.table(_losses(findings.sets), border="horizontal", hide_index=True)
    st.caption(
        f"The base and {of}, on the same rows. Ranges of 95 %, drawn {words.whole(DRAWS)} times (paired bootstrap)."
    )
    if findings.tasks:
        st.table(pd.DataFrame([_task(task) for task in findings.tasks]), border="horizontal", hide_index=True)
    if findings.answers:
        _answers(findings, name)


def _verdicts(findings: Findings) -> list[tuple[Compared | None, str]]:
    return list(zip([findings.held_out, *filter(None, [findings.general])], findings.sentences(), strict=True))


def _verdict(found: Compared | None, sentence: str) -> None:
    verdict = found.verdict if found else "too few rows"
    colour, icon = COLOURS[verdict], ICONS.get(verdict) or _direction(found)
    head, _, rest = sentence.partition(": ")
    if not rest:
        st.markdown(plain(sentence))
        return
    st.markdown(f":{colour}-badge[:material/{icon}: {plain(head)}] {plain(rest[0].upper() + rest[1:])}")


def _direction(found: Compared) -> str:
    """A loss gets better as it falls, a share as it rises."""
    return "trending_down" if found.difference.mean < 0 else "trending_up"


def _losses(sets: list[Compared]) -> pd.DataFrame:
    return pd.DataFrame([_line(found) for found in sets])


def _line(found: Compared) -> dict[str, str]:
    return {
        "Measured on": plain(found.name),
        "Rows": words.whole(found.rows),
        "Base": _measured(found, found.base.mean),
        "Tuned": _measured(found, found.tuned.mean),
        "Difference": _difference(found),
        "Verdict": _verdict_on(found).capitalize(),
    }


def _verdict_on(found: Compared) -> str:
    return found.verdict if found.measure == LOSS else found.verdict.replace("rows", "pairs")


def _difference(found: Compared) -> str:
    change = found.difference
    if not words.known(change.mean):
        return words.MISSING
    mean, low, high = f"{change.mean:+.3f}", f"{change.low:+.3f}", f"{change.high:+.3f}"
    if found.measure != LOSS:
        mean, (low, high) = f"{100 * change.mean:+.0f} points", points(change)
    return f":{COLOURS[found.verdict]}[**{mean}**] :gray[{low} to {high}]"


def _task(task: TaskScore) -> dict[str, str]:
    return {
        "Known test": f"{plain(task.name)} :gray[{plain(task.measure)}]",
        "Base": _score(task.base, task.base_error),
        "Tuned": _score(task.tuned, task.tuned_error),
    }


def _score(score: float | None, error: float | None) -> str:
    """**0.412** ± 0.013"""
    spread = f" :gray[± {error:.3f}]" if words.known(error) else ""
    return f"**{score:.3f}**{spread}" if words.known(score) else words.MISSING


def _measured(found: Compared, mean: float) -> str:
    if found.measure != LOSS:
        return f"**{percent(mean)}** :gray[chosen likelier]"
    return f"**{words.loss(mean)}** :gray[perplexity {words.perplexity(mean)}]"


def _answers(findings: Findings, name: str) -> None:
    with split():
        st.markdown("**Answers of both**", width="content")
        with row(width="content", horizontal_alignment="right"):
            st.download_button(
                "Download as CSV",
                data=findings.csv(),
                file_name=f"{name}.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                key="evaluation:download",
            )
    expected = any(answer.expected for answer in findings.answers)
    rows = [
        {"Prompt": _written(said.prompt), "Base": _written(said.base), "Tuned": _written(said.tuned)}
        | ({"In the data": _written(said.expected)} if expected else {})
        for said in findings.answers
    ]
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)


def _written(text: str) -> str:
    """What somebody wrote, in a cell: text only, its line ends as signs, as a taught manner may be in its lines."""
    return plain(unlinked(" ↵ ".join(line for line in text.splitlines() if line.strip())))
