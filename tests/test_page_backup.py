"""What the pages say of a backup: the safe step, what is wrong, the wait at the end, and how a restore ended."""

import json
import os
import time

import pytest

from benchmarks.synthetic_jobs import make_job
from core.files import append_line, write_whole
from core.hub import restore_asked
from core.jobs import launcher, process
from core.jobs.folder import Job
from core.jobs.listing import live_jobs
from studio.delete_button import what_goes
from studio.event_words import lines_of
from studio.markdown import plain
from tests.test_page_runs import no_worker  # noqa: F401
from tests.test_pages import click, opened, progress_of, text_of
from tests.test_pages import studio_home as home_of_pages  # noqa: F401  ends workers, keeps torch away


def running(number: int = 0, **checkpoints) -> Job:
    """A run at step 300 of 400 whose process lives."""
    job = make_job(
        number, "toy", status="running", steps=400, reported=300, checkpoints={"every_steps": 50} | checkpoints
    )
    process.write(job.files.process, process.born(os.getpid()))
    return job


def say(job: Job, event: str, **more) -> None:
    append_line(job.files.events, {"time": time.time(), "event": event} | more)


def train_page(job: Job) -> str:
    app = opened()
    app.query_params["run"] = job.id
    app.switch_page("../pages/train.py").run()
    assert not app.exception
    return f"{text_of(app)}\n{progress_of(app)}"


def test_the_dashboard_shows_the_step_that_is_safe_and_what_keeps_the_next_from_it():
    job = running(hub_backup="ann/toy")
    assert "Nothing is on the Hub yet." in train_page(job)
    assert what_goes(job).endswith("on disk.")
    say(job, "backed_up", step=250, has_result=False)
    assert "Step 250 is safe on the Hub." in train_page(job)
    assert lines_of(job.events)[0].text == "Safe on the Hub · step 250"
    assert what_goes(job).endswith("on disk. Its backup stays on the Hub: ann/toy, step 250.")
    say(job, "backup_failed", text="The Hub is away.", refused=False, since=time.time())
    assert "The Hub is away. Step 250 is safe on the Hub." in train_page(job)
    say(job, "backing_up", step=300, done=0, total=10)
    assert "The Hub is away." not in train_page(job)
    assert "safe on the Hub" not in train_page(running(1))


def test_the_wait_at_the_end_is_seen():
    job = running(hub_backup="ann/toy")
    say(job, "waiting_for_backup", step=300)
    say(job, "backing_up", step=300, done=3, total=10)
    shown = train_page(job)
    assert "**Backing up to the Hub** · 30% · nothing is on the Hub yet · Stop ends the waiting" in shown
    assert "It only waits until the Hub has it too." in shown


@pytest.mark.usefixtures("no_worker")
def test_the_hub_page_says_how_a_restore_ended():
    job = restore_asked.start("ann/toy")
    launcher.end(job, "")
    why = "ann/toy cannot be trusted as a backup: it has no recipe. Nothing was restored."
    write_whole(job.files.result, json.dumps({"status": "failed", "why": why, "time": time.time()}))
    app = opened()
    app.session_state["fact:restore begun"] = job.id
    app.switch_page("../pages/hub.py").run()
    assert not app.exception
    assert plain(why) in text_of(app)
    run = make_job(0, "toy")
    write_whole(job.files.result, json.dumps({"status": "finished", "why": "toy is back.", "time": 1.0, "run": run.id}))
    app.run()
    assert "toy is back." in text_of(app)
    assert any(button.label == "Open the run" for button in app.button)


@pytest.mark.usefixtures("no_worker")
def test_what_a_cut_off_restore_has_fetched_can_be_used_or_discarded():
    job = restore_asked.start("ann/toy")
    write_whole(job.files.fetched / "run" / "recipe.yaml", "x" * 3_000_000)
    assert "3 MB of it are here" not in text_of(opened("hub"))  # it is at work
    launcher.end(job, "Cut off.")
    write_whole(job.files.fetched / "run" / "recipe.yaml", "x" * 3_000_000)
    app = opened("hub")
    assert "3 MB of it are here" in text_of(app)
    app = click(app, f"restore:again:{job.id}")
    (again,) = live_jobs("restore")
    assert again.id != job.id and not app.exception
    app = click(app, f"restore:discard:{job.id}")
    assert not job.files.fetched.exists() and "of it are here" not in text_of(app)
