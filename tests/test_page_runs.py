"""Runs through the shell: find, name, compare, resume, go on from and delete runs, in a process that cannot import torch."""

import errno
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from benchmarks.synthetic_jobs import make_job
from core import home
from core.files import append_line
from core.jobs import launcher, process
from core.jobs.about import About, about_in, write_about
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.recipe import parse
from studio import session
from studio.compare_view import _measured_on
from studio.delete_button import what_goes
from studio.job_table import PRESSED
from studio.queue_card import called
from tests.test_pages import NASTY, a_run_of_every_kind, click, opened, text_of
from tests.test_pages import studio_home as home_of_pages  # noqa: F401  ends workers, keeps torch away

QWEN = {"source": "Qwen/Qwen3-0.6B"}
ALPACA = {"sources": [{"source": "tatsu-lab/alpaca"}]}


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is resumed is a process that does nothing."""

    def sleep(module: str, folder: Path, *extra: object) -> subprocess.Popen:
        return subprocess.Popen(["sleep", "600"], start_new_session=True)

    monkeypatch.setattr(launcher, "_detached", sleep)


def tag(job: Job, *tags: str, name: str = "", note: str = "") -> Job:
    write_about(job.files.about, About(name, tags, note))
    return job


def listed(app: AppTest) -> list[str]:
    assert not app.exception
    return list(app.dataframe[0].value["Run"])


def runs(*chosen: Job) -> AppTest:
    """The page with these runs chosen."""
    app = opened()
    app.session_state["fact:jobs"] = [job.id for job in chosen]
    app.switch_page("../pages/runs.py").run()
    assert not app.exception
    return app


def tick(app: AppTest, *rows: int) -> AppTest:
    """As the browser says which boxes of the table are ticked."""
    app.session_state[app.dataframe[0].key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return app.run()


def compared(app: AppTest) -> dict[str, list[str]]:
    """Setting -> its value for each of the runs that are compared."""
    (table,) = (element.value for element in app.table if "●" in "".join(map(str, element.value.columns)))
    return {row[0]: list(row[1:]) for row in table.itertuples(index=False)}


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


# The table


def test_runs_can_be_narrowed_to_those_that_need_attention() -> None:
    a_run_of_every_kind()
    app = opened("runs")
    app.button_group(key="runs:kinds").set_value(["Needs attention"]).run()
    assert set(listed(app)) >= {"run-failed", "run-interrupted", "no-step"}
    assert "run-finished" not in listed(app)


@pytest.mark.parametrize("asked", ["ANSWERS", "qwen", "alpaca", "dora", "thesis", "longer answers", "note qwen"])
def test_a_search_looks_at_name_model_data_method_tags_and_note(asked: str) -> None:
    make_job(1, "other", steps=20)
    found = make_job(2, "my-answers", model=QWEN, data=ALPACA, lora={"method": "dora"}, steps=20)
    tag(found, "thesis", note="A note on longer answers.")
    app = opened("runs")
    app.text_input(key="runs:search").set_value(asked).run()
    assert listed(app) == ["my-answers"]


def test_a_search_without_a_match_says_so() -> None:
    make_job(1, "only", steps=20)
    app = opened("runs")
    app.text_input(key="runs:search").set_value("elephant").run()
    assert not app.dataframe
    assert "No run matches" in text_of(app)


@pytest.mark.parametrize(
    ("order", "first"),
    [("Newest", "newest"), ("Best held-out loss", "best"), ("Longest", "longest"), ("Name", "Alphabetic")],
)
def test_runs_are_sorted_as_asked(order: str, first: str) -> None:
    make_job(1, "newest", "failed", steps=20, reported=1)
    make_job(2, "longest", steps=900)
    make_job(3, "Alphabetic", "failed", steps=20, reported=1)
    best = make_job(4, "best", steps=20)
    with best.files.metrics.open("a") as file:
        file.write('{"step": 20, "held_out_loss": 0.01}\n')
    app = opened("runs")
    app.selectbox(key="runs:order").set_value(order).run()
    assert listed(app)[0] == first
    assert len(listed(app)) == 4


def test_a_run_without_a_held_out_loss_comes_after_those_that_have_one() -> None:
    make_job(1, "unmeasured", "failed", steps=20, reported=1)
    make_job(2, "measured", steps=20)
    app = opened("runs")
    app.selectbox(key="runs:order").set_value("Best held-out loss").run()
    assert listed(app) == ["measured", "unmeasured"]


def test_runs_are_found_by_tag_and_by_model() -> None:
    make_job(1, "plain", steps=20)
    tag(make_job(2, "tagged", steps=20, model=QWEN), "paper")
    app = opened("runs")
    app.multiselect(key="runs:tags").set_value(["paper"]).run()
    assert listed(app) == ["tagged"]
    app.multiselect(key="runs:tags").set_value([]).run()
    app.selectbox(key="runs:model").set_value("Qwen3 0.6B").run()
    assert listed(app) == ["tagged"]


def test_where_no_run_has_a_tag_nothing_is_said_of_tags() -> None:
    make_job(1, "plain", steps=20)
    app = opened("runs")
    assert not app.multiselect
    assert "Tags" not in app.dataframe[0].value


def test_many_runs_come_in_pages_and_another_search_begins_with_the_first_page() -> None:
    for number in range(1, 31):
        make_job(number, f"run-{number}", steps=4)
    app = opened("runs")
    assert listed(app) == [f"run-{number}" for number in range(1, 26)]
    (pages,) = app.get("pagination")
    app.session_state[pages.key] = 2
    assert listed(app.run()) == [f"run-{number}" for number in range(26, 31)]
    app.text_input(key="runs:search").set_value("run").run()
    assert listed(app)[0] == "run-1"


def test_the_table_shows_what_became_of_a_run_that_it_has_shown_before() -> None:
    job = make_job(1, "only", "interrupted", steps=20, reported=5)
    app = opened("runs")
    assert app.dataframe[0].value["Status"][0][0] == "Interrupted"
    job.files.result.write_text(json.dumps({"status": "stopped", "why": "", "time": 1.0}))
    assert app.run().dataframe[0].value["Status"][0][0] == "Stopped"


def test_a_run_that_waits_is_counted_as_waiting() -> None:
    job = make_job(1, "queued", "running", steps=20, reported=0)
    job.files.events.write_text(job.files.events.read_text() + '{"time": 1.0, "event": "phase", "phase": "queued"}\n')
    worker = subprocess.Popen(["sleep", "600"], start_new_session=True)
    process.write(job.files.process, process.born(worker.pid))
    assert "1 run · 1 waiting" in text_of(opened("runs"))


def test_an_evaluation_in_the_queue_is_not_taken_for_the_run_it_is_about() -> None:
    run = tag(make_job(1, "first", steps=60), name="better name")
    asked = Job(home.job_folder("20260101-000000-first"))
    asked.folder.mkdir()
    asked.files.recipe.write_text(run.files.recipe.read_text())
    asked.files.events.write_text('{"time": 1.0, "event": "created", "kind": "evaluate"}\n')
    (asked.folder / home.ASKED["evaluate"]).write_text(f"run: {run.id}\n")
    assert (called(run), called(asked)) == ("better name", "Evaluation of better name")
    shutil.rmtree(run.folder)
    assert called(asked) == "Evaluation of first"


def test_a_run_that_failed_at_the_start_is_not_said_to_be_starting() -> None:
    job = make_job(1, "first", "failed", reported=0)
    job.files.events.write_text('{"time": 1.0, "event": "created", "kind": "train"}\n')
    app = opened()
    app.switch_page("../pages/train.py").run()
    assert not app.exception
    assert "Ended at the start** · " in app.get("progress")[0].proto.text


def test_preparing_data_is_not_a_run() -> None:
    job = make_job(1, "only", "finished", steps=60)
    job.files.events.write_text(job.files.events.read_text().replace('"train"', '"prepare"'))
    assert "No runs yet" in text_of(opened("runs"))


# Choosing


def test_a_ticked_run_is_opened_a_second_one_compared_and_none_leaves_a_hint() -> None:
    make_job(1, "one", steps=20)
    make_job(2, "two", steps=20)
    app = opened("runs")
    assert "Select a run" in text_of(app)
    assert "again" in keys(tick(app, 1))
    assert app.subheader[0].value == "two"
    assert "2 selected" in text_of(tick(app, 0, 1))
    assert "Select a run" in text_of(tick(app))


def test_a_ticked_run_that_is_deleted_in_another_tab_is_ticked_no_more() -> None:
    first, second = make_job(1, "one"), make_job(2, "two")
    app = tick(runs(), 0, 1)
    shutil.rmtree(first.folder)
    app.run(timeout=5)
    assert app.query_params["run"] == second.id
    assert listed(app) == ["two"]


def test_runs_of_different_pages_of_the_table_can_be_compared() -> None:
    for number in range(1, 28):
        make_job(number, f"run-{number}", steps=4)
    app = tick(opened("runs"), 0)
    (pages,) = app.get("pagination")
    app.session_state[pages.key] = 2
    assert app.run().subheader[0].value == "run\\-1"
    assert "2 selected" in text_of(tick(app, 1))


def test_the_run_chosen_last_is_the_one_that_train_shows() -> None:
    first, second = make_job(1, "first", steps=20), make_job(2, "second", steps=20)
    app = runs(first, second)
    assert app.switch_page("../pages/train.py").run().title[0].value == "second"


def test_a_cleared_selection_stays_cleared() -> None:
    make_job(1, "one", steps=20)
    make_job(2, "two", steps=20)
    app = click(tick(opened("runs"), 0, 1), "clear")
    assert "Select a run" in text_of(app)
    assert "Select a run" in text_of(app.run())


def test_a_reload_shows_the_chosen_runs_again_and_no_others() -> None:
    jobs = [make_job(number, name, steps=20) for number, name in enumerate(("one", "two", "three"), 1)]
    app = tick(opened("runs"), 0, 2)
    reloaded = opened()
    reloaded.query_params["run"] = [*app.query_params["run"], "deleted-meanwhile"]
    reloaded.switch_page("../pages/runs.py").run()
    assert "2 selected" in text_of(reloaded) and reloaded.query_params["run"] == [jobs[0].id, jobs[2].id]
    cleared = click(reloaded, "clear")
    assert "Select a run" in text_of(cleared.run()) and "run" not in cleared.query_params


def test_a_press_on_the_name_of_a_recent_run_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [make_job(number, f"run-{number}", steps=20) for number in (1, 2, 3)]
    app = opened()
    shutil.rmtree(jobs[0].folder)  # in another tab: the rows move up
    with monkeypatch.context() as pressed:
        value = {PRESSED: {"row": 1, "label": "run-2"}}
        pressed.setattr(session, "widget_value", lambda key, default=None: value.get(key, default))
        app.run()
    assert app.title[0].value == "run\\-2" and app.query_params["run"] == jobs[1].id
    assert app.switch_page("../pages/home.py").run().title[0].value == "Home"


# One run


def test_the_opened_run_is_shown_in_full_and_can_be_the_start_of_a_new_one(tmp_path: Path) -> None:
    app = runs(make_job(1, "only", "finished", steps=60, lora={"rank": 48, "alpha": 96}))
    assert "rank: 48" in app.code[0].value
    assert all(part in text_of(app) for part in ("Learning rate", "Checkpoints", "Events"))
    click(app, "again")
    assert not app.exception
    assert "rank: 48" in (tmp_path / "drafts" / "draft.yaml").read_text()


@pytest.mark.parametrize("taken", ["again", "continue", "use:final"])
def test_the_settings_that_a_run_takes_the_place_of_come_back_and_go_again(tmp_path: Path, taken: str) -> None:
    draft = tmp_path / "drafts" / "draft.yaml"
    draft.parent.mkdir(parents=True)
    draft.write_text("name: hours of work\n")
    job = make_job(1, "only", "finished", steps=60, lora={"rank": 48, "alpha": 96})
    job.files.adapter.mkdir()
    app = click(runs(job), taken)
    assert "All settings are those of only now" in app.toast[0].value
    click(opened("lora"), "recipe:before")
    assert "name: hours of work\n" in draft.read_text() and "rank: 16" in draft.read_text()
    click(opened("lora"), "recipe:before")
    assert "rank: 48" in draft.read_text()


def test_a_damaged_run_is_named_and_the_others_work() -> None:
    a_run_of_every_kind()
    app = runs(next(job for job in all_jobs("train") if job.damage))
    assert "is damaged" in text_of(app)
    assert "run-finished" in listed(app)


def test_a_run_is_deleted_after_it_was_said_what_goes() -> None:
    job, other = tag(make_job(1, "only", steps=60), "paper"), make_job(2, "other", steps=20)
    app = runs(job)
    assert "goes with 3 checkpoints, its tags and note and its recipe, curve and log: 201 MB" in text_of(app)
    click(app, "delete:yes")
    assert not job.folder.exists()
    assert listed(app) == [other.name]


def test_before_a_run_is_deleted_it_is_said_which_others_cannot_begin_without_it() -> None:
    job = make_job(9, "parent", steps=60)
    begun = {"source": "starter", "start_from": f"{job.id}@15"}
    make_job(1, "waits", "interrupted", steps=60, reported=0, model=begun)
    make_job(2, "has its own", "interrupted", steps=60, reported=40, model=begun)
    make_job(3, "done", steps=60, reported=0, model=begun)
    assert what_goes(job).endswith("on disk. Without it these cannot begin: waits.")


def test_a_checkpoint_is_one_click_from_chat() -> None:
    job = make_job(1, "only", "stopped", steps=60, reported=40)
    app = runs(job)
    click(app, f"chat:{job.checkpoints[-1].step}")
    assert not app.exception
    assert app.session_state["fact:chat model 0"] == f"{job.id}@{job.checkpoints[-1].step}"


def test_a_broken_checkpoint_is_shown_with_what_is_wrong_and_cannot_be_used() -> None:
    job = make_job(1, "only", "stopped", steps=60, reported=40)
    (job.checkpoints[-1].folder / "adapter_model.safetensors").unlink()
    app = runs(job)
    assert "Step 30: adapter\\_model.safetensors is missing" in text_of(app)
    assert "chat:15" in keys(app)
    assert "chat:30" not in keys(app)


def test_the_log_can_be_searched() -> None:
    job = make_job(1, "only", steps=60)
    job.files.log.write_text("Loading: 10%\rLoading: 99%\nCUDA is not there\nstep 1 of 60\nstep 2 of 60\n")
    app = runs(job)
    app.session_state[f"log:{job.id}"] = True
    app.run()
    app.text_input(key=f"log:search:{job.id}").set_value("STEP").run()
    assert "2 lines found" in text_of(app)
    assert app.code[-1].value == "step 1 of 60\nstep 2 of 60"
    app.text_input(key=f"log:search:{job.id}").set_value("99%").run()
    assert app.code[-1].value == "Loading: 99%"
    app.text_input(key=f"log:search:{job.id}").set_value("elephant").run()
    assert "0 lines found" in text_of(app)


# Name, tags, note


def save_about(job: Job, **written: Any) -> AppTest:
    """Fill the form of a run and press Save."""
    app = runs(job)
    if "name" in written:
        app.text_input(key=f"about:name:{job.id}").set_value(written["name"])
    if "tags" in written:
        app.multiselect(key=f"about:tags:{job.id}").set_value(written["tags"])
    if "note" in written:
        app.text_area(key=f"about:note:{job.id}").set_value(written["note"])
    return click(app, f"about:save:{job.id}")


def test_a_new_name_stays_and_the_recipe_does_not_change() -> None:
    job = make_job(1, "support-bot", steps=20)
    save_about(job, name="Héloïse's best")
    assert listed(opened("runs")) == ["Héloïse's best"]
    assert job.recipe.name == "support-bot"


def test_an_emptied_name_brings_the_own_one_back() -> None:
    job = tag(make_job(1, "support-bot", steps=20), name="Another")
    save_about(job, name="")
    assert listed(opened("runs")) == ["support-bot"]


def test_tags_and_a_note_are_kept_and_shown_as_text() -> None:
    job = tag(make_job(1, "only", steps=20), "paper", NASTY[:20])
    app = save_about(job, tags=["paper"], note=f"{NASTY}\nsecond line")
    assert about_in(job.files.about) == About("", ("paper",), f"{NASTY}\nsecond line")
    assert ":gray-badge[paper]" in text_of(app)
    assert "\\<script\\>alert\\(1\\)\\</script\\>" in text_of(app)
    assert "  \nsecond line" in text_of(app)
    assert "<script>" not in text_of(app).replace("\\<script\\>", "")


def test_what_two_tabs_write_on_a_run_is_all_kept() -> None:
    job = tag(make_job(1, "only", steps=20), "paper")
    mine = runs(job)
    save_about(job, note="what the other tab has seen")
    mine.text_input(key=f"about:name:{job.id}").set_value("My name")
    click(mine, f"about:save:{job.id}")
    assert job.about == About("My name", ("paper",), "what the other tab has seen")


def test_a_disk_without_room_for_a_name_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr("core.jobs.about.write_whole", full)
    app = save_about(make_job(1, "only", steps=20), name="Another")
    assert not app.exception
    assert "The disk is full" in app.error[0].value


def test_a_tag_that_is_too_long_is_refused_in_a_sentence() -> None:
    long = "x" * 31
    job = tag(make_job(1, "only", steps=20), "paper")
    other = make_job(2, "other", steps=20)
    other.files.about.write_text(json.dumps({"tags": [long]}))
    app = save_about(job, tags=["paper", long])
    assert "at most 30 characters" in app.error[0].value
    assert job.about.tags == ("paper",)


# Resume, continue


def test_a_stopped_run_is_resumed_from_its_newest_checkpoint_and_train_shows_it(no_worker: None) -> None:
    job = make_job(1, "only", "stopped", steps=60, reported=40)
    app = runs(job)
    assert app.button(key="resume").label == "Resume from step 30"
    assert app.button(key="resume").help == "Repeats 10 steps that came after it."
    click(app, "resume")
    assert not app.exception
    assert app.title[0].value == "only"
    assert job.status.live
    assert job.newest_event("resuming")["step"] is None


def test_resuming_from_an_earlier_checkpoint_says_what_goes(no_worker: None) -> None:
    job = make_job(1, "only", "interrupted", steps=60, reported=45)
    app = runs(job)
    assert "2 later checkpoints and the curve after step 15 are removed." in text_of(app)
    click(app, "resume:15")
    assert not app.exception
    assert job.newest_event("resuming")["step"] == 15


def test_a_run_without_a_checkpoint_is_resumed_from_the_start(no_worker: None) -> None:
    job = make_job(1, "only", "failed", steps=60, reported=3)
    app = runs(job)
    assert app.button(key="resume").label == "Resume from the start"
    click(app, "resume")
    assert job.status.live


def test_a_run_that_cannot_be_resumed_now_says_why_and_stays_as_it_is(tmp_path: Path) -> None:
    data = {"sources": [{"source": str(tmp_path / "gone.jsonl")}]}
    job = make_job(1, "only", "stopped", steps=60, reported=40, data=data)
    app = click(runs(job), "resume")
    assert "is not there" in app.error[0].value
    assert "Events" in text_of(app)
    assert job.status is Status.STOPPED


def test_what_runs_or_is_finished_is_not_resumed() -> None:
    assert "resume" not in keys(runs(make_job(1, "only", "finished", steps=60)))


def test_a_finished_run_is_continued_as_a_new_run_that_names_it(tmp_path: Path) -> None:
    job = make_job(1, "only", "finished", steps=60, lora={"rank": 48, "alpha": 96})
    job.files.adapter.mkdir()
    app = click(runs(job), "continue")
    assert not app.exception
    draft = (tmp_path / "drafts" / "draft.yaml").read_text()
    assert "name: only continued" in draft
    assert f"start_from: {job.id}\n" in draft
    assert "rank: 48" in draft


def test_a_checkpoint_can_be_the_start_of_a_new_run(tmp_path: Path) -> None:
    job = make_job(1, "only", "stopped", steps=60, reported=40)
    click(runs(job), "use:15")
    assert f"start_from: {job.id}@15\n" in (tmp_path / "drafts" / "draft.yaml").read_text()


def test_a_run_says_from_which_it_goes_on_and_opens_it() -> None:
    parent = make_job(2, "parent", steps=60)
    child = make_job(1, "child", steps=60, model={"source": "starter", "start_from": f"{parent.id}@15"})
    app = runs(child)
    assert app.button(key="parent").label == "Goes on from parent, step 15"
    assert click(app, "parent").subheader[0].value == "parent"


def test_a_run_whose_parent_is_deleted_still_names_it() -> None:
    child = make_job(1, "child", steps=60, model={"source": "starter", "start_from": "20260101-000000-gone"})
    assert "Goes on from 20260101\\-000000\\-gone" in text_of(runs(child))


# Comparing


def test_a_comparison_shows_exactly_the_settings_that_differ() -> None:
    first = make_job(1, "first", steps=60, training={"learning_rate": 2e-4})
    second = make_job(2, "second", steps=60, training={"learning_rate": 2.001e-4})
    app = runs(first, second)
    results = ["Best held-out", "Time", "Status"]
    assert list(compared(app)) == ["Learning rate", *results]
    assert compared(app)["Learning rate"] == ["2e\\-4", "2.001e\\-4"]
    app.toggle(key="compare:only").set_value(False).run()
    assert {"Rank", "Seed", "Data", "Model"} <= set(compared(app))


def test_runs_without_a_loss_to_draw_are_compared_without_a_chart() -> None:
    app = runs(make_job(1, "first", "failed", reported=0), make_job(2, "second", "failed", reported=0))
    assert "None of these runs has made a step yet." in text_of(app)
    app.segmented_control(key="compare:shown").set_value("Held-out").run()
    assert "None of these runs has a held-out loss yet." in text_of(app)
    assert compared(app)["Best held-out"] == ["—", "—"]


def test_the_best_of_the_compared_runs_is_marked_where_they_share_a_base_model() -> None:
    first, second = make_job(1, "first", steps=60), make_job(2, "second", steps=60)
    app = runs(first, second)
    best = min((first, second), key=lambda job: job.metrics.best_held_out_loss)
    marked = [":material/trophy:" in loss for loss in compared(app)["Best held-out"]]
    assert marked == [best is first, best is second]
    assert "different base models" not in text_of(app)


def test_losses_of_different_base_models_are_not_ranked() -> None:
    app = runs(make_job(1, "first", steps=60), make_job(2, "second", steps=60, model=QWEN))
    assert "Loss compares only within one base model." in text_of(app)
    assert "trophy" not in "".join(compared(app)["Best held-out"])


@pytest.mark.parametrize(
    ("other", "comparable"),
    [({}, True), ({"packing": "on"}, True), ({"train_on": "all"}, False), ({"eval_fraction": 0.4}, False)],
)
def test_losses_compare_only_on_the_same_held_out_tokens(other: dict[str, Any], comparable: bool) -> None:
    one, two = (
        parse({"data": {"sources": [{"source": "starter", "weight": weight}], **some}})
        for weight, some in ((1, {}), (0.5, other))
    )
    assert (_measured_on(one) == _measured_on(two)) is comparable


def test_runs_with_other_held_out_tokens_are_not_ranked() -> None:
    app = runs(make_job(1, "first", steps=60), make_job(2, "second", steps=60, training={"seed": 8}))
    assert "their held-out losses do not compare" in text_of(app)
    assert "trophy" not in "".join(compared(app)["Best held-out"])


def test_at_most_six_runs_are_compared_and_a_damaged_one_is_left_out() -> None:
    jobs = [make_job(number, f"run-{number}", steps=20) for number in range(1, 8)]
    broken = make_job(9, "broken")
    broken.files.recipe.write_text("name: [x")
    app = runs(broken, *jobs)
    assert "8 selected" in text_of(app)
    assert "cannot be read, so it is left out. At most 6 runs are compared" in text_of(app)
    assert len(compared(app)["Status"]) == 6


def test_runs_of_one_name_are_told_apart() -> None:
    app = runs(make_job(1, "twin", steps=20), make_job(30, "twin", steps=20))
    (headers,) = (list(element.value.columns) for element in app.table)
    assert len(set(headers)) == 3
    assert all("twin, " in header for header in headers[1:])


@pytest.mark.parametrize(("held_out_rows", "why"), [(0, "nothing held out"), (3, "not measured")])
def test_why_an_ended_run_has_no_held_out_loss_is_said(held_out_rows, why):
    job = make_job(1, "short", "stopped", steps=60, reported=4)
    assert not job.metrics.held_out_loss
    append_line(job.files.events, {"time": 0, "event": "prepared", "rows": 60, "held_out_rows": held_out_rows})
    shown = {metric.label: metric.delta for metric in opened("train", job).metric}
    assert shown["Held-out loss"] == why
