"""Which rows are not trained on, and why: for each reason its count, and the first of them beside the row they are like."""

from collections.abc import Iterator
from typing import Any

import streamlit as st

from studio import words
from studio.data_source import source_name
from studio.markdown import plain

READING = "set aside while reading"
MIX = "left out by the mix"


def rows_left_out(report: dict[str, Any]) -> None:
    """Folded; nothing where every row is used."""
    reasons = _reasons(report)
    if reasons:
        with st.expander(f"Rows left out: {sum(reasons.values()):,}", icon=":material/filter_alt:"):
            tabs = st.tabs([f"{reason.capitalize()} :gray[{number:,}]" for reason, number in reasons.items()])
            for reason, tab in zip(reasons, tabs, strict=True):
                with tab:
                    _reason(reason, report)
    if kept := report["kept_from_held_out"]:
        st.caption(kept_from_held_out(kept))


def kept_from_held_out(rows: int) -> str:
    have, they, others = (
        ("has a near twin", "it is", "another is") if rows == 1 else ("have a near twin", "they are", "others are")
    )
    return (
        f":material/join_inner: {words.count(rows, 'row')} that would have been held out {have}, "
        f"so {they} trained on and {others} held out instead."
    )


def _reasons(report: dict[str, Any]) -> dict[str, int]:
    """Reason -> rows; those that could not be read are one reason here, with all of theirs inside."""
    by_rule = {fate: report["dropped"][fate] for fate in report["fates"] if report["dropped"].get(fate)}
    unread = sum(_unread(report).values())
    found = by_rule | {READING: unread, MIX: report["left_out"]}
    return {reason: number for reason, number in found.items() if number}


def _unread(report: dict[str, Any]) -> dict[str, int]:
    return {reason: number for reason, number in report["dropped"].items() if reason not in report["fates"]}


def _reason(reason: str, report: dict[str, Any]) -> None:
    if reason == READING:
        _set_aside(report)
    elif reason == MIX:
        st.caption("Not drawn this time. A larger weight, or another size of the mix, takes more of them.")
    else:
        examples = report["examples"].get(reason, [])
        st.caption(
            f"The first {len(examples)} of them." if len(examples) < report["dropped"][reason] else "All of them."
        )
        grid = st.grid(2, min_column_width=260, gap="xsmall")
        for row, before in _side_by_side(examples):
            with grid.cell():
                _text(row, before)


def _side_by_side(examples: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    """Each row, and after it the one that it is like."""
    for example in examples:
        yield example, ""
        if example["like"]:
            yield example["like"], "like "


def _set_aside(report: dict[str, Any]) -> None:
    """Every reason with its count, then the first rows with their places."""
    told = [f"{words.count(number, 'row')}: {plain(reason)}." for reason, number in _unread(report).items()]
    st.markdown("\n".join(f"- {line}" for line in told))
    if report["problems"]:
        st.caption("Where the first of them are")
        st.markdown("\n".join(f"- :small[{plain(problem)}]" for problem in report["problems"]))


def _text(row: dict[str, Any], before: str = "") -> None:
    with st.container(border=True, gap=None, height="stretch"):
        st.caption(f"{before}row {row['row']:,} of {plain(source_name(row['source']))}")
        st.markdown(f":small[{plain(row['text'])}]")
