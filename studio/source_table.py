"""The prepared data set by data set: what was read, what was left out of it, and what an epoch sees."""

from typing import Any

import pandas as pd
import streamlit as st

from studio import words
from studio.data_source import source_name

USES = {"train": "training", "held_out": "held out"}
DUPLICATES = ("exact duplicate", "near duplicate")
ADDED_UP = ("Read", "Dropped", "Duplicates", "Held out", "Left out", "Distinct", "Rows / epoch", "Tokens")
LEFT_OUT = "Left out"


def source_table(report: dict[str, Any]) -> None:
    """One line each, and their sum where there are several. At 1024 pixels the rows fit; the name stays for the rest."""
    st.dataframe(
        source_frame(report),
        key="prepared sources",
        hide_index=True,
        row_height=34,
        width="content",
        placeholder=words.MISSING,
        alt="What became of the rows of each data set",
        column_config=_columns(),
    )


def source_frame(report: dict[str, Any]) -> pd.DataFrame:
    """Read = Dropped + Duplicates + Held out + Left out + Distinct, in every line."""
    lines = [_line(source) for source in report["sources"]]
    if len(lines) > 1:
        lines.append(_total(report, lines))
    frame = pd.DataFrame(lines)
    return frame if report["left_out"] else frame.drop(columns=LEFT_OUT)


def _line(source: dict[str, Any]) -> dict[str, Any]:
    dropped = source["dropped"]
    duplicates = sum(dropped.get(reason, 0) for reason in DUPLICATES)
    return {
        "Data set": source_name(source["source"], source["config"]),
        "Read": source["rows_read"],
        "Dropped": sum(dropped.values()) - duplicates,
        "Duplicates": duplicates,
        "Held out": source["held_out_rows"],
        LEFT_OUT: source["left_out"],
        "Distinct": source["distinct_rows"],
        "Rows / epoch": source["rows"],
        "Epochs": source["epochs"] or None,
        **_tokens(source),
        "Used for": USES[source["use"]],
        "Fit": 100 * source["confidence"],
        "Layout": source["layout"],
    }


def _tokens(counts: dict[str, Any]) -> dict[str, Any]:
    """Of the rows of an epoch."""
    tokens, rows = counts["tokens"], counts["rows"]
    return {
        "Tokens": tokens,
        "Trained": 100 * counts["supervised_tokens"] / tokens if tokens else None,
        "Mean": tokens / rows if rows else None,
    }


def _total(report: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    sums = {name: sum(line[name] for line in lines) for name in ADDED_UP}
    return dict.fromkeys(lines[0]) | {"Data set": "All"} | sums | _tokens(report)


def _columns() -> dict[str, Any]:
    column = st.column_config
    number = {"format": "%,d"}
    return {
        "Data set": column.TextColumn(width=120, pinned=True),
        "Read": column.NumberColumn(**number, width=58, help="Rows read of the data set."),
        "Dropped": column.NumberColumn(
            **number, width=64, help="Set aside while reading, or left out by length or as a leak."
        ),
        "Duplicates": column.NumberColumn(**number, width=74, help="Exact and near duplicates, left out."),
        "Held out": column.NumberColumn(**number, width=62, help="Never trained on; the held-out loss is theirs."),
        LEFT_OUT: column.NumberColumn(**number, width=66, help="Not drawn by the mix."),
        "Distinct": column.NumberColumn(**number, width=60, help="Different rows that are trained on."),
        "Rows / epoch": column.NumberColumn(**number, width=86, help="Rows of an epoch, repeats counted."),
        "Epochs": column.NumberColumn(format="%.2f", width=60, help="How often an epoch sees each row, on average."),
        "Tokens": column.NumberColumn(**number, width=76, help="Of the rows of an epoch."),
        "Trained": column.NumberColumn(format="%.0f%%", width=66, help="Share of the tokens that is learned."),
        "Mean": column.NumberColumn(format="%,.0f", width=56, help="Tokens of a row, on average."),
        "Used for": column.TextColumn(width=70),
        "Fit": column.NumberColumn(
            format="%.0f%%", width=44, help="Share of the first rows that can be read by this layout."
        ),
        "Layout": column.TextColumn(width=106, help="How a row holds a conversation."),
    }
