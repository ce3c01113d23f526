"""Times as the person's clock shows them: in the browser's time zone, not the machine's."""

import time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from studio import words


def zone() -> ZoneInfo | None:
    """The browser's time zone; None, the machine's own, where it is not known."""
    try:
        return ZoneInfo(st.context.timezone) if st.context.timezone else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def clock(moment: float, seconds: bool = False) -> str:
    return words.clock(moment, zone(), seconds)


def when(moment: float) -> str:
    return words.when(moment, time.time(), zone())
