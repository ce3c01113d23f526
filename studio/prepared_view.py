"""A prepared data set: its counts, what was cut and dropped, the rows as tokens, and how long they are."""

from typing import Any

import streamlit as st

from core.data.preview import Prepared
from studio import words
from studio.layout import section, split
from studio.length_chart import length_chart
from studio.markdown import plain
from studio.row_viewer import row_viewer


def prepared_view(prepared: Prepared) -> None:
    report = prepared.report
    _counts(report)
    if sentences := _losses(report):
        with st.container(gap=None):
            for sentence in sentences:
                st.caption(sentence)
    _problems(report)
    grid = st.grid(2, min_column_width=400, gap="small", border=True)
    with grid.cell():
        row_viewer(prepared)
    with grid.cell():
        with split():
            section("Example length")
            _cut_badge(report)
        length_chart(report)
        quantiles = f"median {report['median']:,} · p95 {report['p95']:,} · longest {report['longest']:,} tokens"
        st.caption(quantiles)


def _counts(report: dict[str, Any]) -> None:
    supervised = report["supervised_tokens"]
    share = supervised / report["tokens"] if report["tokens"] else None
    facts = [
        ("Rows read", words.whole(report["rows_read"]), words.count(len(report["sources"]), "data set")),
        ("To train on", words.whole(report["rows"]), "rows"),
        ("Held out", words.whole(report["held_out_rows"]), "rows"),
        ("Tokens", words.whole(report["tokens"]), "all rows"),
        ("Trained tokens", words.whole(supervised), f"{words.percent(share)} of all"),
    ]
    strip = st.grid(5, min_column_width=110, gap="xsmall")
    for label, value, fact in facts:
        with strip.cell():
            st.metric(label, value, delta=fact, delta_color="off", delta_arrow="off", border=True, height="stretch")


def _losses(report: dict[str, Any]) -> list[str]:
    """What did not reach the model, in sentences; nothing is dropped silently."""
    sentences = []
    if report["cut_rows"]:
        lost = report["cut_supervised_tokens"]
        sentences.append(
            f":orange[:material/content_cut:] {words.count(report['cut_rows'], 'row')} cut at "
            f"{report['max_length']:,} tokens; {words.count(lost, 'token')} of answers lost. "
            "Raise Max tokens to keep them."
        )
    for reason, number in report["dropped"].items():
        sentences.append(f":orange[:material/filter_alt:] {words.count(number, 'row')} dropped: {plain(reason)}.")
    return sentences


def _problems(report: dict[str, Any]) -> None:
    """The first rows that were set aside, each with its place; sets made by earlier versions have none."""
    if problems := report.get("problems"):
        with st.expander("Rows set aside: where they are", icon=":material/filter_alt:"):
            st.markdown("\n".join(f"- {plain(problem)}" for problem in problems))


def _cut_badge(report: dict[str, Any]) -> None:
    share = report["cut_rows"] / report["rows_read"] if report["rows_read"] else 0
    if share:
        cut = words.percent(share, 1)
        st.markdown(
            f":orange-badge[:material/content_cut: {cut} cut] :gray[:small[at {report['max_length']:,} tokens]]",
            width="content",
        )
    else:
        st.markdown(":green-badge[:material/check: None cut]", width="content")
