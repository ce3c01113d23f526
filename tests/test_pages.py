"""Every page through the shell, in a process that cannot import torch: what a person sees, and what a click does."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from benchmarks.synthetic_jobs import make_job
from core.errors import RecipeError
from core.home import ROOT
from core.jobs import process
from core.jobs.folder import Job
from core.jobs.launcher import wait
from core.jobs.listing import all_jobs, live_jobs
from core.jobs.status import Status
from core.jobs.worker import Worker
from studio import session
from tests.garbage import FILES, HARMFUL

HEAVY = ("torch", "transformers", "peft", "trl", "datasets")
PAGES = sorted(path.stem for path in (ROOT / "pages").glob("*.py"))
NASTY = "<script>alert(1)</script> [x](javascript:alert(1)) :red[y] $z$"


@pytest.fixture(autouse=True)
def studio_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home; whatever a test has started there ends with the test."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    for package in HEAVY:
        monkeypatch.setitem(sys.modules, package, None)
    yield tmp_path
    for job in all_jobs():
        if job.worker:
            job.worker.kill()


@pytest.fixture
def running() -> Iterator[Job]:
    """A training at step 412 of 1,125 whose worker is a living process, which ends when it is asked to stop."""
    job = make_job(0, "live-run", "running", steps=1125, reported=412)
    worker = subprocess.Popen(["sleep", "600"], start_new_session=True)
    process.write(job.files.process, process.born(worker.pid))
    yield job
    worker.kill()
    worker.wait()


def opened(page: str = "home", chosen: Job | None = None) -> AppTest:
    """A new browser tab that opens Home and then a page, where a run was chosen on the way, and is named, or not."""
    app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30).run()
    if chosen:
        app.session_state["fact:jobs"] = [chosen.id]
        app.query_params["run"] = chosen.id
    return app if page == "home" else app.switch_page(f"../pages/{page}.py").run()


def click(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


def text_of(app: AppTest) -> str:
    """All Markdown of a page, as it is sent to the browser."""
    parts = [app.title, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.success]
    return "\n".join(str(element.value) for kind in parts for element in kind)


def progress_of(app: AppTest) -> str:
    return " ".join(bar.proto.text for bar in app.get("progress"))


def a_run_of_every_kind() -> None:
    for number, status in enumerate(("finished", "stopped", "failed", "interrupted"), start=1):
        make_job(number, f"run-{status}", status, steps=60, reported=60 if status == "finished" else 25)
    make_job(8, "no-step", "failed", steps=60, reported=0)
    make_job(9, "broken").files.recipe.write_text("name: [x")
    make_job(10, "strange").files.result.write_text('{"status": "exploded"}')


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_in_an_empty_home(page: str) -> None:
    app = opened(page)
    assert not app.exception
    assert len(app.title) == 1


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_with_runs_of_every_kind(page: str, running: Job) -> None:
    a_run_of_every_kind()
    app = opened(page)
    assert not app.exception
    assert "**live\\-run**" in app.button(key="live run").label  # the sidebar shows it on every page


def test_no_page_needs_torch_even_in_a_fresh_process(tmp_path: Path) -> None:
    script = f"""
import sys
for package in {HEAVY}: sys.modules[package] = None
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(ROOT / "studio" / "app.py")!r}, default_timeout=60).run()
for page in {PAGES}:
    app.switch_page(f"../pages/{{page}}.py").run()
    assert not app.exception, (page, app.exception[0].message)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_first_visitor_is_offered_the_quick_start_and_nothing_that_is_not_built() -> None:
    app = opened()
    assert app.title[0].value == "Welcome"
    assert [button.label for button in app.button] == ["Start the quick start", "Choose my own model"]
    assert "Hub account" not in text_of(app)


def test_the_quick_start_begins_a_run_and_shows_it() -> None:
    app = click(opened(), "quick start")
    (job,) = live_jobs("train")
    assert job.recipe.model.source == "starter"
    assert not app.exception
    assert app.title[0].value == "fernway\\-support"


def test_home_shows_what_trains_and_the_newest_run_that_needs_a_person(running: Job) -> None:
    a_run_of_every_kind()
    app = opened()
    assert "One run is training." in text_of(app)
    assert "**Step 412** of 1,125" in progress_of(app)
    assert "Stopped at step 25" not in text_of(app)


def test_a_failed_run_asks_for_attention_until_it_is_dismissed() -> None:
    make_job(1, "oom", "failed", steps=60, reported=3)
    app = opened()
    assert "Out of memory at step 3" in text_of(app)
    assert "Out of memory at step 3" not in text_of(click(app, "dismiss"))


def test_a_failure_that_a_later_run_made_good_asks_for_nothing() -> None:
    make_job(2, "oom", "failed", steps=60, reported=3)
    make_job(1, "fine", "finished", steps=60)
    assert not [button for button in opened().button if button.key == "dismiss"]


def test_a_run_that_is_only_starting_does_not_take_the_place_of_the_one_that_trains(running: Job) -> None:
    added = make_job(-1, "added", "running", reported=0)
    added.files.events.write_text(json.dumps({"time": time.time(), "event": "created", "kind": "train"}) + "\n")
    assert added.status is Status.STARTING and all_jobs()[0] == added
    app = opened("train")
    assert "**live\\-run**" in app.button(key="live run").label and app.title[0].value == "live\\-run"
    process.read(running.files.process).kill()
    while running.status.live:
        time.sleep(0.01)
    assert "**added**" in app.run().button(key="live run").label


def test_train_shows_the_run_that_trains_before_the_newest(running: Job) -> None:
    make_job(-1, "newer", "finished", steps=60)
    app = opened("train")
    assert app.title[0].value == "live\\-run"
    assert [metric.label for metric in app.metric][:3] == ["Train loss", "Held-out loss", "Perplexity"]


def test_from_an_older_run_the_one_that_trains_is_one_click_away(running: Job) -> None:
    older = make_job(1, "older", "finished", steps=60)
    app = opened("train", chosen=older)
    assert app.title[0].value == "older"
    assert click(app, "show live").title[0].value == "live\\-run"


def test_the_menu_leads_to_the_run_whose_percentage_stands_there(running: Job) -> None:
    older = make_job(1, "older", "finished", steps=60)
    app = opened()
    app.session_state["fact:jobs"] = [older.id]
    assert app.switch_page("../pages/train.py").run().title[0].value == "live\\-run"


def test_an_opened_run_stays_on_train_over_a_reload(running: Job) -> None:
    failed = make_job(-1, "failed", "failed", steps=60, reported=3)
    app = click(opened(), "attend")
    assert app.title[0].value == "failed" and app.query_params["run"] == failed.id
    again = opened()
    again.query_params["run"] = app.query_params["run"]
    again = again.switch_page("../pages/train.py").run()
    assert again.title[0].value == "failed" and again.button(key="show live")


@pytest.mark.parametrize("named", ["../models", "no-such-run", ""])
def test_an_address_that_names_no_run_shows_what_trains(named: str, running: Job) -> None:
    app = opened()
    app.query_params["run"] = named
    app = app.switch_page("../pages/train.py").run()
    assert not app.exception and app.title[0].value == "live\\-run" and app.query_params["run"] == running.id


def test_the_run_in_the_sidebar_opens_it(running: Job) -> None:
    app = click(opened("runs"), "live run")
    assert app.title[0].value == "live\\-run"


def test_stop_asks_the_worker_and_the_page_sees_the_end(running: Job) -> None:
    app = click(opened("train"), "stop:save")
    assert not wait(running, longest_s=10).live
    assert "The worker ended at step 412 of 1,125" in text_of(app.run())


def test_a_second_request_to_stop_is_offered_only_after_a_while(running: Job) -> None:
    Worker(running).phase("stopping")
    app = opened("train")
    assert "stop:save" not in [button.key for button in app.button]
    assert "stop:at once" in [button.key for button in app.button]


def test_before_the_first_step_train_says_what_is_being_done(running: Job) -> None:
    running.files.metrics.write_text("")
    lines = running.files.events.read_text().splitlines()[:3]
    waiting = {"time": 0, "event": "progress", "what": "Downloading the starter model", "done": 30, "total": 100}
    running.files.events.write_text("\n".join([*lines, json.dumps(waiting)]) + "\n")
    app = opened("train")
    assert not app.exception
    assert "**Downloading the starter model** · 30%" in progress_of(app)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("finished", "Finished after 60 steps"),
        ("stopped", "Stopped at step 25 of 60"),
        ("failed", "Out of memory at step 25"),
        ("interrupted", "The worker ended at step 25 of 60 without a result"),
    ],
)
def test_train_says_how_a_run_ended(status: str, sentence: str) -> None:
    make_job(1, "only", status, steps=60, reported=25)
    assert sentence in text_of(opened("train"))


def test_markup_from_outside_is_shown_as_text() -> None:
    job = make_job(1, "only", "failed", steps=60, reported=3)
    job.files.result.write_text(json.dumps({"status": "failed", "why": NASTY, "time": 1.0}))
    Worker(job).warning(NASTY)
    for page in ("home", "train"):
        said = text_of(opened(page)) + str(opened(page).main)
        assert "\\<script\\>alert\\(1\\)\\</script\\>" in said
        assert "<script>" not in said.replace("\\<script\\>", "")


def test_settings_survive_a_new_session(studio_home: Path) -> None:
    job = make_job(1, "only", "finished", steps=60, training={"learning_rate": 3e-4})
    app = opened("runs", chosen=job)
    click(app, "again")
    later = opened("lora")
    assert not later.exception
    assert "0.0003" in (studio_home / "drafts" / "draft.yaml").read_text()


def test_settings_that_cannot_be_read_are_kept_beside_the_defaults(studio_home: Path) -> None:
    draft, mine = studio_home / "drafts" / "draft.yaml", "name: my-night\nof_a_later_version: 1\n"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(mine)
    app, kept = opened("lora").run(), draft.with_name("unreadable.yaml")
    assert str(kept) in app.toast[0].value.replace("\\", "") and kept.read_text() == mine
    assert not opened("lora").run().toast


def test_what_could_not_be_read_before_stays_when_there_is_more_of_it(studio_home: Path) -> None:
    drafts, texts = studio_home / "drafts", ["of_a_later_version: 1\n", "of_a_later_version: 2\n", "name: [\n"]
    drafts.mkdir()
    for text in texts:
        (drafts / "draft.yaml").write_text(text)
        session._set_aside()
    names = ("unreadable.yaml", "unreadable-2.yaml", "unreadable-3.yaml")
    assert [(drafts / name).read_text() for name in names] == texts


def test_two_tabs_find_the_same_settings_that_cannot_be_read(
    studio_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft, kept = studio_home / "drafts" / "draft.yaml", studio_home / "drafts" / "unreadable.yaml"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text("of_a_later_version: 1\n")

    def read_by_both(path: Path) -> None:
        path.replace(kept)
        raise RecipeError("of_a_later_version: unknown key")

    monkeypatch.setattr(session, "load", read_by_both)
    assert str(kept) in opened("lora").run().toast[0].value.replace("\\", "")


def test_a_run_without_a_worker_is_interrupted_not_running() -> None:
    assert make_job(1, "only", "interrupted", steps=60, reported=3).status is Status.INTERRUPTED


@pytest.mark.process  # many pages: not among the unit tests
def test_no_page_breaks_on_a_job_whose_files_somebody_has_edited() -> None:
    broken = []
    for number, garbage in enumerate(HARMFUL):
        for file in FILES:
            job = make_job(number, f"{file}-{number}", "stopped", steps=4)
            getattr(job.files, file).write_bytes(garbage)
            broken.append(job)
    for page in PAGES:
        assert not opened(page).exception
    app = opened()
    for job in broken:
        app.session_state["fact:jobs"] = [job.id]
        app.query_params["run"] = job.id
        for page in ("train", "runs"):
            app.switch_page(f"../pages/{page}.py").run()
            assert not app.exception, (job.id, page, app.exception[0].message)
