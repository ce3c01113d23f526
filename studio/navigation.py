"""The pages of the studio, in their groups. Only this file names page files."""

from typing import Any, NoReturn

import streamlit as st

from core.home import ROOT
from core.jobs.folder import Job
from core.jobs.listing import training_now
from studio.progress import percent_done
from studio.session import select_job

RUN = "run"  # in the address of Train, so that a reload shows the same run

FILES: dict[str, dict[str, tuple[str, str]]] = {  # group -> page -> (title, icon)
    "": {"home": ("Home", ":material/home:")},
    "Prepare": {
        "model_and_data": ("Model & data", ":material/dataset:"),
        "lora": ("LoRA", ":material/tune:"),
    },
    "Train": {
        "train": ("Train", ":material/monitoring:"),
        "runs": ("Runs", ":material/list_alt:"),
    },
    "Use": {
        "chat": ("Chat", ":material/forum:"),
        "hub": ("Hub", ":material/cloud_upload:"),
    },
}


def pages() -> dict[str, list[Any]]:
    """Group -> its pages, built anew each run: page objects shared between sessions raise now and then."""
    return {group: [_page(name) for name in files] for group, files in FILES.items()}


def go_to(name: str) -> NoReturn:
    """Open a page, by the name of its file without `.py`."""
    st.switch_page(_page(name))


def open_run(job: Job) -> NoReturn:
    """Choose this run and show it on Train, whose address names it."""
    select_job(job.id)
    st.switch_page(_page("train"), query_params={RUN: job.id})


def page_name(page: Any) -> str:
    """A page's title without the live percentage."""
    return page.title.split(" :")[0]


def _page(name: str) -> Any:
    title, icon = next(files[name] for files in FILES.values() if name in files)
    if name == "train":
        title += _percent()
    return st.Page(ROOT / "pages" / f"{name}.py", title=title, icon=icon, default=name == "home")


def _percent() -> str:
    live = training_now()
    return f" :gray[{percent_done(live)}%]" if live else ""
