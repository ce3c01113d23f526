"""How long the rows are, what the cut costs, and what packing would make of them."""

from typing import Any

import streamlit as st

from studio import session, words
from studio.layout import section, split
from studio.length_chart import length_chart

TOO_LONG = "longer than max tokens"


def length_card(report: dict[str, Any]) -> None:
    with split():
        section("Example length")
        _cut_badge(report)
    length_chart(report)
    longer = "the longer one of each pair: " if report.get("pairs") else ""
    st.caption(f"{longer}median {report['median']:,} · p95 {report['p95']:,} · longest {report['longest']:,} tokens")
    with st.container(gap="xxsmall"):
        st.markdown(f":small[{cut_words(report)}]")
        if not report.get("pairs"):  # their two answers stay together
            st.markdown(f":small[{packing_words(report, session.draft().data.packs)}]")


def cut_words(report: dict[str, Any]) -> str:
    """What Max tokens takes away, in rows and in answers."""
    limit, one = f"{report['max_length']:,} tokens", "pair" if report.get("pairs") else "row"
    if dropped := report["dropped"].get(TOO_LONG):
        return f":orange[:material/filter_alt:] **{words.count(dropped, one)}** over {limit} left out whole."
    if not report["cut_rows"]:
        return (
            f":green[:material/check:] Every {'answer of a pair' if report.get('pairs') else 'row'} fits into {limit}."
        )
    lost = report["cut_supervised_tokens"]
    cost = f"{words.count(lost, 'token')} of answers" if lost else "no answer"
    advice = " Raise Max tokens to keep them." if lost else ""
    return (
        f":orange[:material/content_cut:] **{words.count(report['cut_rows'], one)}** of {report['usable_rows']:,} "
        f"cut at {limit}: **{cost}** lost.{advice}"
    )


def packing_words(report: dict[str, Any], on: bool) -> str:
    """How full the rows would be, against one conversation a row."""
    packing = report["packing"]
    rows = f"{words.count(packing['rows'], 'row')} of {report['max_length']:,} tokens"
    made = f"{rows} out of {report['rows']:,}, {words.percent(packing['filled'])} filled"
    if on:
        return f":blue[:material/view_module:] Packing is on and makes {made}."
    return f":gray[:material/view_module:] Packing would make {made}. :gray[Switch it on under LoRA.]"


def _cut_badge(report: dict[str, Any]) -> None:
    share = report["cut_rows"] / report["usable_rows"] if report["usable_rows"] else 0
    if share:
        cut = words.percent(share, 1)
        st.markdown(
            f":orange-badge[:material/content_cut: {cut} cut] :gray[:small[at {report['max_length']:,} tokens]]",
            width="content",
        )
    else:
        st.markdown(":green-badge[:material/check: None cut]", width="content")
