"""LoRA: how the adapter is taught, what that will take, and the button that starts it."""

import streamlit as st

from core import home
from core.hardware import machine
from core.plan.forecast import forecast
from studio import lora_form
from studio.layout import page_header, split
from studio.memory_card import memory_card
from studio.plan_panel import plan_card, teaching
from studio.preset_row import preset_reason, preset_row
from studio.recipe_file import recipe_file, reset_button
from studio.session import draft
from studio.start_bar import start_bar
from studio.tries_popover import tries_popover

recipe, here = draft(), machine(home.home())
found = forecast(recipe, here)

with page_header("LoRA", teaching(recipe, found)):
    reset_button()
    recipe_file(recipe)

with split():
    preset_row(recipe)
    tries_popover(recipe, here)
preset_reason(recipe)

grid = st.grid(3, min_column_width=280, gap="small", border=True)
with grid.cell(column_span=2, row_span=2):
    lora_form.essentials(recipe, found.plan.steps)
with grid.cell():
    memory_card(recipe, found, here)
with grid.cell():
    plan_card(recipe, found, here)

with st.container(gap="xsmall"):
    lora_form.adapter(recipe)
    lora_form.smaller(recipe)
    lora_form.optimizer(recipe)
    lora_form.keeping(recipe)
    lora_form.memory(recipe)

start_bar(recipe, found, here)
