"""A run that cannot be lost, as its owner sees it: tab closed, app killed, stopped, resumed, compared. A real browser."""

import os
import re

import pytest

from core import home
from core.files import write_whole
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.recipe import Recipe
from core.recipe_yaml import to_yaml
from tests.test_journey import MINUTES, app, step_shown, wait_until  # noqa: F401
from tests.toy_model import make_toy_model
from tests.toy_training import toy_recipe
from tools.browser import browser, chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.process,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]
STEPS = 300


@pytest.fixture
def window():
    """A browser in which tabs are opened and closed."""
    with browser() as found:
        yield found


@pytest.fixture
def one_thread(monkeypatch):
    """Before the app starts, so that every worker it starts has the same: a toy's threads only wait for each other."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def tab(window, url: str):
    page = window.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(MINUTES)
    page.goto(url)
    return page


def recipe(model, name: str, rate: float) -> Recipe:
    made = toy_recipe(
        model,
        training={"max_steps": STEPS, "learning_rate": rate, "eval_every": 100},
        checkpoints={"every_steps": 120, "keep": 2},
    )
    return made.model_copy(update={"name": name})


def start_training(page, url: str, wanted: Recipe) -> None:
    write_whole(home.draft_file(), to_yaml(wanted))
    page.goto(f"{url}/lora")
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("heading", name=wanted.name).wait_for()


def curve_drawn(page) -> list[float]:
    """The steps of the raw loss line, as the browser has drawn it."""
    return page.evaluate("() => Array.from(document.querySelector('.js-plotly-plot')._fullData[0].x)")


def test_a_run_survives_its_tab_and_its_app_and_goes_on_where_it_stopped(one_thread, app, window, tmp_path):  # noqa: F811
    model = make_toy_model(tmp_path / "toy")
    page = tab(window, app.url)
    start_training(page, app.url, recipe(model, "first", 1e-3))
    page.get_by_text(re.compile(r"Step \d+")).first.wait_for()
    (job,) = all_jobs("train")

    page.close()
    app.kill()
    seen = job.metrics.step
    wait_until(lambda: job.metrics.step > seen + 5, 60, "the training goes on without tab and app")
    app.start()
    page = tab(window, f"{app.url}/train")
    wait_until(lambda: step_shown(page) > seen, 60, "the app started again shows the live run")

    page.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Stop and save").click()
    resume = page.get_by_test_id("stMain").get_by_role("button", name=re.compile("Resume from step"))
    resume.wait_for()
    assert job.status is Status.STOPPED
    stopped_at = job.metrics.step
    assert 0 < stopped_at < STEPS
    resume.click()
    page.get_by_text(f"Trained {STEPS} steps").first.wait_for(timeout=3 * MINUTES)
    assert job.status is Status.FINISHED
    assert list(job.metrics["step"]) == list(range(1, STEPS + 1))
    page.get_by_test_id("stMain").get_by_text("Checkpoints", exact=True).first.click()
    page.get_by_text(f"Resumed from step {stopped_at}").wait_for()
    drawn = curve_drawn(page)
    assert drawn == sorted(set(drawn))
    assert (drawn[0], drawn[-1]) == (1, STEPS)
    assert any(step > stopped_at for step in drawn)

    start_training(page, app.url, recipe(model, "second", 5e-4))
    page.get_by_text(f"Trained {STEPS} steps").first.wait_for(timeout=3 * MINUTES)
    page.get_by_role("link", name="Runs").click()
    # The run that was watched is selected already. The table is a canvas: a row's box is a place, not an element.
    page.get_by_role("button", name="New run from this one").wait_for()
    page.get_by_test_id("stDataFrame").first.click(position={"x": 16, "y": 50 + 34})
    page.get_by_role("heading", name="Compare").wait_for()
    text = page.get_by_test_id("stMain").inner_text()
    assert "Learning rate" in text
    assert "5e-4" in text
    assert "1e-3" in text
    for same in ("Rank", "Seed", "Dropout"):
        assert same not in text, "only differences are shown"
