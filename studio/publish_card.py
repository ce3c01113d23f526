"""The model card of what would be published, to read before it is."""

import streamlit as st

from core.export.asked import parts, precision_of_gguf
from core.export.names import gguf_name
from core.hub import card
from core.hub.card_contents import RECIPE, Contents
from core.hub.facts import Facts
from core.hub.loss_picture import loss_png
from core.hub.publication import Publication
from core.jobs.folder import Job
from studio.layout import section, split

RECIPE_LINK = f"[`{RECIPE}`](./{RECIPE})"


def publish_card(asked: Publication | None, run: Job) -> None:
    """A card's content: rendered, or as the text it is."""
    with split():
        section("Model card")
        shown = st.segmented_control(
            "Shown as", ["Preview", "Text"], default="Preview", required=True, label_visibility="collapsed", key="publish:card"
        )  # fmt: skip
    if asked is None:
        st.caption("It appears here once the form can be published.")
        return
    contents = _contents(asked, parts(asked, run.recipe), run)
    facts = Facts.of(run, asked.step)
    text = card.text(facts, contents)
    with st.container(height=560, border=False):
        if shown == "Text":
            st.code(text, language="markdown", wrap_lines=True)
            return
        tags = card.metadata(facts, contents)
        st.markdown(" ".join(f":gray-badge[{tag}]" for tag in [tags.library_name, tags.license, *tags.tags] if tag))
        _rendered(text.split("---\n", 2)[2], run)


def _contents(asked: Publication, wanted: tuple[str, ...], run: Job) -> Contents:
    if "gguf" in wanted:
        return Contents(asked.repository, False, precision_of_gguf(asked), gguf_name(run, asked))
    precision = "the precision of its base" if asked.precision == "auto" else asked.precision
    return Contents(asked.repository, "adapter" in wanted, precision if "merged" in wanted else None)


def _rendered(body: str, run: Job) -> None:
    """The picture comes where the card has it: after the settings."""
    before, _, after = body.replace(RECIPE_LINK, f"`{RECIPE}`").partition("## Use")
    st.markdown(before, anchors=False)
    if picture := _picture(run.id, len(run.metrics), run):
        st.image(picture, caption="Loss by step")
    st.markdown(f"## Use{after}", anchors=False)


@st.cache_data(max_entries=8, show_spinner=False)
def _picture(run_id: str, reports: int, _run: Job) -> bytes | None:
    """Drawn again once something was reported."""
    return loss_png(_run)
