"""One's own data, as a person brings it: a CSV with odd columns, uploaded, mapped, mixed, looked at, trained on. In Chromium."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import TimeoutError

from core import home
from core.data.preview import prepared_by
from core.files import write_whole
from core.jobs import launcher
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.recipe import parse
from core.recipe_yaml import load, to_yaml
from tests.test_journey import wait_until
from tests.toy_model import make_toy_model
from tools.browser import chromium, studio

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]
ROWS = 60
LONGEST = "Das ist die laengste Antwort von allen. " * 12


@pytest.fixture
def app(studio_home, tmp_path):
    """A studio whose draft has a toy model and a few steps: the data is real, and the training short."""
    toy = make_toy_model(tmp_path / "toy")
    training = {"batch": 2, "accumulation": 1, "max_steps": 4}
    recipe = parse({"name": "own data", "model": {"source": str(toy)}, "training": training})
    home.draft_file().parent.mkdir(parents=True, exist_ok=True)
    write_whole(home.draft_file(), to_yaml(recipe))
    with studio(studio_home) as running:
        yield running
    for job in all_jobs():
        if job.status.live:
            launcher.stop(job)
            launcher.wait(job, 60)


def odd_csv(folder) -> str:
    path = folder / "Fragen und Antworten (final) <2>.csv"
    lines = [f'Frage {n}: wo liegt Ort {n}?,n{n},"Ort {n} liegt am Fluss {n * 7}."' for n in range(ROWS - 1)]
    path.write_text("Frage;1,Notiz,Was wir sagen\n" + "\n".join(lines) + f"\nWarum?,<b>x</b>,{LONGEST}\n")
    return str(path)


def choose(page, label: str, option: str) -> None:
    """Open a list until it stays open: one that is opened while the page is drawn anew closes again."""
    box = page.get_by_test_id("stSelectbox").filter(has_text=label).get_by_role("combobox")
    wanted = page.get_by_role("option", name=option, exact=True)

    def chosen() -> bool:
        box.click()
        try:
            wanted.click(timeout=2_000)
        except TimeoutError:
            page.keyboard.press("Escape")
            return False
        return True

    wait_until(chosen, 60, f"{option} is chosen")


def weigh(page, number: int, percent: str) -> None:
    box = page.get_by_role("spinbutton", name="Weight in percent").nth(number)
    box.fill(percent)
    box.press("Enter")


def draft_sources() -> list:
    return load(home.draft_file()).data.sources


def test_a_csv_with_odd_columns_is_uploaded_mapped_mixed_looked_at_and_trained_on(app, page, tmp_path):
    page.goto(f"{app.url}/model_and_data")
    page.get_by_role("button", name="Upload files").click()
    page.locator("input[type=file]").set_input_files(odd_csv(tmp_path))
    page.get_by_text("fit no layout").wait_for()
    page.keyboard.press("Escape")

    # Two choices say which column is which.
    choose(page, "Question is in", "Frage;1")
    # A click while the page is drawn anew is lost.
    wait_until(lambda: draft_sources()[1].columns == {"question": "Frage;1"}, 30, "the first choice is kept")
    page.wait_for_timeout(1_000)
    choose(page, "Answer is in", "Was wir sagen")
    page.get_by_text("question_answer", exact=True).wait_for()
    assert draft_sources()[1].columns == {"question": "Frage;1", "answer": "Was wir sagen"}

    # What the weights make is told before anything is prepared.
    weigh(page, 0, "30")
    page.get_by_text("30% of the mix").wait_for()
    weigh(page, 1, "70")
    page.get_by_text(re.compile("70% of the mix")).wait_for()
    page.get_by_text("small data sets repeat").wait_for()

    page.wait_for_timeout(1_000)
    page.get_by_role("button", name="Prepare", exact=True).click()
    page.get_by_text("What the model learns from").wait_for(timeout=120_000)
    (job,) = all_jobs("prepare")
    report = prepared_by(job).report
    own = report["sources"][1]
    assert own["rows"] / report["rows"] == pytest.approx(0.7, abs=0.01) and own["rows_read"] == ROWS

    # Its longest row, as coloured tokens: the answer is trained on, the question is not, and markup stays text.
    choose(page, "Data set", Path(own["source"]).name)
    page.wait_for_timeout(1_000)
    page.get_by_role("button", name="Longest").click()
    tokens = page.locator(".tokens[role=group]")
    tokens.get_by_text("Warum", exact=False).first.wait_for()
    trained = tokens.locator("span.t0, span.t1")
    said = "".join(trained.all_inner_texts()).replace("↵", "").replace("\n", "")
    assert said.startswith("Das ist die laengste Antwort") and "Warum" not in said
    assert re.fullmatch(r"id \d+ · trained on", trained.first.get_attribute("title"))

    # From there to a training on this very set.
    page.get_by_role("button", name="Next: LoRA").click()
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("heading", name="own data").wait_for()
    (run,) = all_jobs("train")
    assert launcher.wait(run, 180) is Status.FINISHED
    assert run.prepared_key == job.prepared_key
    assert len(np.load(prepared_by(run).files.train)) == report["rows"]
