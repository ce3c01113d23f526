"""The plan in Chromium: it moves with every field, a probe measures it, the training starts. On a toy model."""

import os
import re

import pytest

from core import home
from core.files import write_whole
from core.jobs import launcher
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.recipe import parse
from core.recipe_yaml import to_yaml
from tests.test_journey import wait_until
from tests.test_journey_data import choose
from tests.toy_model import make_toy_model
from tools.browser import chromium, studio

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]


@pytest.fixture
def app(studio_home, tmp_path):
    """A studio whose draft has a toy model, so that a probe takes seconds."""
    toy = make_toy_model(tmp_path / "toy")
    data = {"sources": [{"source": "starter", "limit": 40}], "max_length": 512}
    training = {"batch": 64, "accumulation": 1, "max_steps": 3}
    write_whole(
        home.draft_file(),
        to_yaml(parse({"name": "planned", "model": {"source": str(toy)}, "data": data, "training": training})),
    )
    with studio(studio_home) as running:
        yield running
    for job in all_jobs():
        if job.status.live:
            launcher.stop(job)
            launcher.wait(job, 60)


def peak(page) -> str:
    return page.get_by_text(re.compile("at the peak")).first.inner_text()


def test_the_plan_moves_is_measured_and_started(app, page):
    page.goto(f"{app.url}/lora")
    page.get_by_text(re.compile("at the peak")).first.wait_for(timeout=60_000)
    seen = [peak(page)]

    def moved(what: str) -> None:
        wait_until(lambda: peak(page) != seen[-1], 20, f"the plan moves with the {what}")
        seen.append(peak(page))

    length = page.get_by_role("spinbutton", name="Max tokens")
    length.fill("2048")
    length.press("Enter")
    moved("length")
    rank = page.get_by_test_id("stSlider").filter(has_text="Rank").get_by_role("slider")
    rank.focus()
    for _ in range(4):
        rank.press("ArrowRight")
    moved("rank")
    choose(page, "Method", "Full fine-tuning")
    moved("method")
    choose(page, "Method", "LoRA")
    moved("method")

    page.get_by_role("button", name="Measure").click()
    page.get_by_role("button", name="Stop measuring").wait_for(timeout=60_000)
    page.get_by_text(re.compile("Measured by a probe|corrected by a probe")).first.wait_for(timeout=240_000)
    (probe,) = all_jobs("probe")
    assert probe.status is Status.FINISHED and probe.result["why"].startswith("Measured: ")
    assert page.get_by_role("button", name="Measure").is_visible()
    moved("probe")

    page.get_by_role("button", name="Start training").click()
    page.get_by_role("heading", name="planned").wait_for(timeout=60_000)
    (job,) = all_jobs("train")
    assert launcher.wait(job, 240) is Status.FINISHED
