"""A prepared data set: its counts, by data set too, what was left out, the rows as tokens, and how long they are."""

from typing import Any

import streamlit as st

from core.data.preview import Prepared
from studio import words
from studio.length_card import length_card
from studio.row_viewer import row_viewer
from studio.rows_left_out import rows_left_out
from studio.source_table import source_table


def prepared_view(prepared: Prepared) -> None:
    report = prepared.report
    _counts(report)
    source_table(report)
    rows_left_out(report)
    grid = st.grid(2, min_column_width=400, gap="small", border=True)
    with grid.cell():
        row_viewer(prepared)
    with grid.cell():
        length_card(report)


def _counts(report: dict[str, Any]) -> None:
    supervised = report["supervised_tokens"]
    share = supervised / report["tokens"] if report["tokens"] else None
    facts = [
        ("Rows read", words.whole(report["rows_read"]), words.count(len(report["sources"]), "data set")),
        ("To train on", words.whole(report["rows"]), _distinct(report)),
        ("Held out", words.whole(report["held_out_rows"]), _rows(report, report["held_out_rows"])),
        ("Tokens", words.whole(report["tokens"]), "an epoch"),
        ("Trained tokens", words.whole(supervised), f"{words.percent(share)} of all"),
    ]
    strip = st.grid(5, min_column_width=110, gap="xsmall")
    for label, value, fact in facts:
        with strip.cell():
            st.metric(label, value, delta=fact, delta_color="off", delta_arrow="off", border=True, height="stretch")


def _distinct(report: dict[str, Any]) -> str:
    """Whether rows are repeated."""
    rows = _rows(report, report["rows"])
    return rows if report["rows"] == report["distinct_rows"] else f"{rows}, {report['distinct_rows']:,} distinct"


def _rows(report: dict[str, Any], number: int) -> str:
    """What so many of them are called."""
    return words.noun(number, "pair" if report.get("pairs") else "row")
