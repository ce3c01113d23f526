"""A question to the Hub, asked beside the page: without a network the page is there at once all the same."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import TypeVar

import streamlit as st

from studio import session

T = TypeVar("T")

WAIT_S = 1.0
_asking = ThreadPoolExecutor(max_workers=4, thread_name_prefix="hub")


def asked(name: str, question: Callable[[], T]) -> Future[T]:
    """The answer on its way, or what it was: each question of a tab is asked once, until it is forgotten."""
    key = f"hub question {name}"
    if session.recall(key) is None:
        session.remember(key, _asking.submit(question))
    return session.recall(key)


def forget(name: str) -> None:
    """Ask anew the next time."""
    session.remember(f"hub question {name}", None)


def forget_all() -> None:
    """Everything is asked anew: another account asks."""
    session.forget("hub question ")


def answer_so_far(name: str) -> Future | None:
    """What is known without asking."""
    return session.recall(f"hub question {name}")


def wait_shortly(answer: Future[T], longest_s: float = WAIT_S) -> T | None:
    """The answer; None while it is not there, and then the page is drawn anew as soon as it is. Raises HubError."""
    try:
        return answer.result(timeout=longest_s)
    except NotYet:
        _redraw_when_there(answer)
        return None


def _redraw_when_there(answer: Future) -> None:
    @st.fragment(run_every=1)
    def look() -> None:
        if answer.done():
            st.rerun()

    look()
