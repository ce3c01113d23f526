"""The few layout pieces that every page is made of: rows, key and value, titles."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st


def split(gap: str = "small", **container: Any) -> Any:
    """A line whose first part stands left and whose last stands right."""
    return st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap=gap, **container
    )


def row(gap: str = "xsmall", **container: Any) -> Any:
    """A line of parts, from the left."""
    return st.container(horizontal=True, vertical_alignment="center", gap=gap, **container)


def kv(key: str, value: str) -> None:
    """A gray name on the left, its value on the right; both may be Markdown."""
    with split():
        st.markdown(f":gray[{key}]", width="content")
        st.markdown(value, width="content")


def section(title: str) -> None:
    """A card's title; in a row of its own, so that titles in neighbouring cards line up."""
    with row(width="content"):
        st.subheader(title, anchor=False, width="content")


@contextmanager
def page_header(title: str, caption: str = "", badge: str = "") -> Iterator[None]:
    """Title and caption on the left; what is drawn inside stands on the right: tertiary, secondary, primary last."""
    with split():
        with st.container(gap=None, width="content"):
            with row(width="content"):
                st.title(title, anchor=False, width="content")
                if badge:
                    st.markdown(badge, width="content")
            if caption:
                st.caption(caption)
        with row(width="content", horizontal_alignment="right"):
            yield
