"""Home at the first visit: one click to a first trained model, and what this machine can do."""

import streamlit as st

from core import catalog
from core.hardware import Machine
from core.jobs import launcher
from core.plan.plan import total_steps
from core.quick_start import DOWNLOAD_BYTES, quick_start
from studio import words
from studio.empty_state import empty_state
from studio.layout import page_header, row, section
from studio.machine_cards import computer_card, fits_card, gpu_card
from studio.navigation import go_to, open_run
from studio.run_facts import data_names, model_name
from studio.session import hub_token

STEPS = (
    ("dataset", "Pick", "A model, and the data to teach it"),
    ("tune", "Set", "LoRA, with a plan that says if it fits"),
    ("monitoring", "Train", "In the background; you can close the tab"),
    ("forum", "Chat", "Ask the model you trained"),
)


def welcome(machine: Machine) -> None:
    with page_header("Welcome", "Fine-tune a small language model on this machine. No code needed."):
        pass
    grid = st.grid(3, min_column_width=280, gap="small", border=True)
    with grid.cell(column_span=2, row_span=2):
        _quick_start_card()
    if machine.gpus:
        with grid.cell():
            gpu_card(machine)
    with grid.cell():
        computer_card(machine)
    if not machine.gpus:
        with grid.cell():
            fits_card(machine)
    _what_to_know(machine)
    section("Recent runs")
    empty_state("show_chart", "No runs yet", "Runs you start appear here with their loss curve and result.")


def _quick_start_card() -> None:
    recipe = quick_start()
    with st.container(gap="xxsmall"):
        st.header("Train your first model in a few minutes", anchor=False)
        st.markdown(
            f"The quick start fine-tunes **{model_name(recipe)}** on **{data_names(recipe)}**. Then you chat with it "
            "and with the original. Stop or change anything, any time."
        )
    with row(gap="small"):
        start = st.button("Start the quick start", icon=":material/play_arrow:", type="primary", key="quick start")
        choose = st.button("Choose my own model", icon=":material/tune:", key="choose model")
    _costs()
    st.space("xsmall")
    for column, (icon, title, text) in zip(st.columns(4), STEPS, strict=True):
        with column, st.container(gap=None):
            st.markdown(f":primary[:material/{icon}:] **{title}**")
            st.caption(text)
    if start:
        open_run(launcher.start(recipe, token=hub_token()))
    if choose:
        go_to("model_and_data")


def _costs() -> None:
    """What the quick start needs, and what it does not."""
    known = catalog.dataset("starter")
    steps = total_steps(quick_start(), round(known.rows * 0.95)) if known else None
    with row():
        st.badge(words.count(steps or 0, "step"), icon=":material/bolt:", color="gray")
        st.badge("a CPU is enough", icon=":material/memory:", color="gray")
        st.badge(f"{words.size(DOWNLOAD_BYTES)} download, once", icon=":material/download:", color="gray")
        st.badge("no account", icon=":material/no_accounts:", color="gray")


def _what_to_know(machine: Machine) -> None:
    grid = st.grid(3 if machine.gpus else 2, min_column_width=200, gap="small", border=True)
    if machine.gpus:
        with grid.cell():
            fits_card(machine)
    with grid.cell():
        section("Your own data")
        st.markdown(
            ":gray[A file of rows on this machine, or a data set from the Hugging Face Hub. You see the very "
            "tokens that are trained on before you start.]"
        )
    with grid.cell():
        section("It goes on without you")
        st.markdown(
            ":gray[A run is a process of its own. Close the tab or restart the studio: it trains on, and you "
            "find it here again.]"
        )
