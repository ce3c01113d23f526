"""Of a model from the Hub: which revision, and whether Python files of its own may run, with the warning that belongs to it."""

import streamlit as st

from core.hub.account import repository_page
from studio import recipe_form, session
from studio.markdown import plain


def own_code_form(source: str) -> None:
    model = session.draft().model
    if model.source != source:
        return
    now = plain((model.revision or "the newest")[:12])
    with st.expander(f":material/commit: Revision and code\u2002:gray[:small[{now}]]"):
        recipe_form.text("model.revision", empty="the newest, pinned at the start")
        recipe_form.switch("model.trust_remote_code")
        st.caption("Most models need no code of their own. It may run only at a full commit, 40 digits long.")
    if model.trust_remote_code:
        st.warning(
            f"Python files of {plain(source)} will run on this machine with all your rights. "
            f"[Read them first]({repository_page(source)}/tree/{model.revision})",
            icon=":material/code:",
        )
