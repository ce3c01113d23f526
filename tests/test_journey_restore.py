"""Restoring in a real browser: on an empty home, the list of my backed-up runs, one click, and the run goes on to its end."""

import os
import shutil

import pytest

from core import home
from core.jobs import launcher
from core.jobs.folder import Job
from core.jobs.status import Status
from tests.studio_with_hub import studio_with_hub
from tests.toy_backup import TOKEN, begin_backup, copied, recipe_of, upload, use
from tests.toy_model import make_toy_model
from tests.toy_training import new_folder, train
from tools.browser import chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]
JOB = "20260101-000000-toy"


def test_a_run_is_restored_on_an_empty_home_by_one_click(page, tmp_path, monkeypatch):
    with studio_with_hub(tmp_path, TOKEN) as (hub, app):
        back_up(hub, tmp_path, monkeypatch)
        shutil.rmtree(home.home())
        page.goto(f"{app.url}/hub")
        page.get_by_text("ann/toy · step 7 of 12, stopped").wait_for()
        assert TOKEN not in page.content()
        page.get_by_role("button", name="Restore", exact=True).first.click()
        page.get_by_text("toy is back, at step 7. It goes on now.").wait_for()
        page.get_by_text("On this machine").wait_for()
        page.get_by_role("button", name="Open the run").click()
        page.get_by_text("Restored from ann/toy").wait_for()
        page.get_by_text("Step 12 and the result are safe on the Hub.").first.wait_for()
        job = Job(home.job_folder(JOB))
        assert launcher.wait(job, 60) is Status.FINISHED
        assert list(job.metrics["step"]) == list(range(1, 13))


def back_up(hub, folder, monkeypatch) -> None:
    """A run that was stopped at step 7, on the Hub; what was here is as it was then."""
    use(hub.environment(folder / "hf", TOKEN), monkeypatch)
    model = make_toy_model(folder / "toy")
    upload()
    train(new_folder(recipe_of(model, None), JOB), stop_at=6)
    shutil.move(home.home(), folder / "kept")
    job = copied(folder / "kept", "ann/toy")
    assert begin_backup(job).wait(60) == 0
