"""Model & data: which model is taught, and what; the prepared rows as the model reads them."""

import streamlit as st

from core import home
from core.hardware import machine
from studio.cleaning_form import cleaning_form
from studio.data_picker import data_picker, reading_settings
from studio.layout import page_header
from studio.model_picker import model_picker
from studio.navigation import go_to
from studio.preparation import preparation

with page_header("Model & data", "What to teach, and which model to teach it to"):
    if st.button("Next: LoRA", icon=":material/arrow_forward:", icon_position="right", type="primary", key="next"):
        go_to("lora")

model_picker(machine(home.home()))
st.space("xsmall")
data_picker()
reading_settings()
cleaning_form()
preparation()
