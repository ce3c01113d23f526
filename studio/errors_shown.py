"""Where errors for a person are shown. Anything else is a bug and stays loud."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core import home
from core.errors import StudioError
from core.files import FULL
from studio.markdown import plain, plain_lines


@contextmanager
def errors_shown() -> Iterator[None]:
    """Around a page and around each live part: a fragment runs without the page around it."""
    try:
        yield
    except StudioError as error:
        st.error(plain_lines(error), icon=":material/error:")
    except OSError as error:
        if error.errno not in FULL:
            raise
        st.error(f"The disk is full, so nothing was kept. Make space under {plain(str(home.home()))}, then try again.")
