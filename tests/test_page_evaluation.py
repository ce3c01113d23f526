"""Did it help? On the page of a run: what its training measured, an evaluation started, under way, ended, failed."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.synthetic_jobs import make_job
from core import home
from core.evaluation.asked import Evaluation
from core.evaluation.compare import compared, compared_pairs
from core.evaluation.report import Answer, Findings, write
from core.files import append_line, write_whole
from core.jobs import launcher
from core.jobs.asked import beside
from core.jobs.asked import read as read_asked
from core.jobs.errand import errands_of
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.recipe_yaml import to_yaml as recipe_yaml
from studio.evaluation_tables import _line
from tests.test_page_runs import runs, tick
from tests.test_pages import click, opened, progress_of, text_of
from tests.test_pages import studio_home as home_of_pages  # noqa: F401  ends workers, keeps torch away


@pytest.fixture
def run() -> Job:
    """A finished run that has measured the base before its first step."""
    job = make_job(1, "taught", steps=60)
    for step, loss, one, other in ((0, 2.31, 2.5, 2.0), (60, 1.42, 1.6, 1.1)):
        sources = {"starter": one, "extra": other}
        append_line(
            job.files.events, {"time": 9.0, "event": "held_out", "step": step, "loss": loss, "sources": sources}
        )
    return job


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that does nothing."""

    def sleep(module: str, folder: Path, *extra: object) -> subprocess.Popen:
        return subprocess.Popen(["sleep", "600"], start_new_session=True)

    monkeypatch.setattr(launcher, "_detached", sleep)


def evaluation_of(run: Job, day: str = "20270101", **asked) -> Job:
    job = Job(home.job_folder(f"{day}-000000-taught"))
    write_whole(job.files.recipe, recipe_yaml(run.recipe))
    for name, text in beside("evaluate", Evaluation(run=run.id, **asked)).items():
        write_whole(job.folder / name, text)
    append_line(job.files.events, {"time": 2.0, "event": "created", "kind": "evaluate"})
    return job


def losses(mean: float, rows: int = 40) -> np.ndarray:
    spread = np.linspace(-0.5, 0.5, rows)
    return np.stack([(mean + spread) * 10, np.full(rows, 10.0)], axis=1)


def test_before_an_evaluation_the_page_shows_what_the_training_measured(run: Job) -> None:
    shown = text_of(runs(run))
    assert "Did it help?" in shown
    assert "2.310 → **1.420**" in shown
    assert "perplexity 10.07 → **4.14**" in shown
    assert "2.000 → **1.100**" in shown


def test_what_was_found_is_shown_verdict_first_with_losses_and_answers(run: Job) -> None:
    job = evaluation_of(run)
    sets = [
        compared("held-out rows", losses(2.3), losses(1.4)),
        compared("everyday questions", losses(1), losses(1.2), True),
    ]
    write(job.files, Findings(sets, [Answer("Where is *it*?", "No idea", "Topic: Delivery", "Here")]))
    Worker(job).finish("finished", "done")
    app = runs(run)
    shown = text_of(app)
    assert ":green-badge[:material/trending_down: Better]" in shown
    assert ":red-badge[:material/trending_up: It has forgotten some]" in shown
    numbers, answers = [table.value for table in app.table if {"Verdict", "Tuned"} & set(table.value.columns)]
    assert list(numbers["Verdict"]) == ["Better", "Worse"]
    assert "**1.400**" in numbers["Tuned"][0]
    assert list(answers["Prompt"]) == ["Where is \\*it\\*?"]
    assert list(answers.columns) == ["Prompt", "Base", "Tuned", "In the data"]
    assert not [button for button in app.button if button.key == "evaluating:stop"]


def test_of_pairs_the_page_says_what_is_preferred_and_no_perplexity(run: Job) -> None:
    paired = run.recipe.training.model_copy(update={"objective": "dpo"})
    write_whole(run.files.recipe, recipe_yaml(run.recipe.model_copy(update={"training": paired})))
    append_line(run.files.events, {"time": 8.0, "event": "prepared", "held_out_rows": 40})
    for step, loss, preferred in ((0, 0.693, 0.5), (60, 0.407, 0.83)):
        measured = {"step": step, "loss": loss, "sources": {}, "preferred": preferred}
        append_line(run.files.events, {"time": 9.0, "event": "held_out"} | measured)
    shown = text_of(runs(run))
    assert "All held\\-out pairs" in shown and "0.693 → **0.407**" in shown
    assert "perplexity 2.00" not in shown
    assert "It moved towards the chosen answer in 83 % of 40 held\\-out pairs." in shown


def test_pairs_are_shown_as_shares_beside_the_losses_of_the_everyday_questions(run: Job) -> None:
    job = evaluation_of(run)
    base = np.array([[[20.0, 10], [30.0, 10]], [[20.0, 10], [10.0, 10]]] * 20)
    tuned = np.array([[[20.0, 10], [30.0, 10]]] * 40)
    sets = [
        compared_pairs("held-out pairs", base, tuned),
        compared("everyday questions", losses(1), losses(1.2), True),
    ]
    write(job.files, Findings(sets))
    Worker(job).finish("finished", "done")
    app = runs(run)
    assert ":green-badge[:material/trending_up: Better]" in text_of(app)
    (numbers,) = [table.value for table in app.table if "Verdict" in table.value.columns]
    assert list(numbers["Base"]) == ["**50 %** :gray[chosen likelier]", "**1.000** :gray[perplexity 2.72]"]
    assert numbers["Difference"][0].startswith(":green[**+50 points**] :gray[+35 to +6")
    assert _line(compared_pairs("held-out pairs", base[:1], tuned[:1]))["Verdict"] == "Too few pairs"


@pytest.mark.usefixtures("no_worker")
def test_an_evaluation_is_started_from_the_page_and_is_no_run_of_its_own(run: Job) -> None:
    app = runs(run)
    app.text_area(key="evaluate:prompts").set_value("Hi\n\n  Where is my parcel?  ")
    app.number_input(key="evaluate:rows").set_value(50)
    click(app, "evaluate:start")
    (job,) = errands_of(run, "evaluate")
    asked = read_asked(job, Evaluation)
    assert (asked.prompts, asked.most_rows, asked.general) == (["Hi", "Where is my parcel?"], 50, "everyday")
    assert job.kind == "evaluate"
    assert asked.step == run.checkpoints[-1].step  # it has no adapter, so its newest checkpoint was offered
    assert "taught" not in list(opened("home").dataframe[0].value["Run"])[1:]
    app = runs(run)
    assert "Starting" in progress_of(app)
    click(app, "evaluating:stop")
    assert job.stop_asked


def test_a_checkpoint_chosen_for_one_run_is_not_chosen_for_the_next(run: Job) -> None:
    make_job(2, "other", steps=60)
    app = runs(run)
    step = next(box for box in app.selectbox if box.label == "Compare the base with")
    step.set_value(30).run()
    tick(app, 1)
    assert next(box for box in app.selectbox if box.label == "Compare the base with").value == 60


def test_one_that_failed_says_why_and_can_be_started_again(run: Job) -> None:
    job = evaluation_of(run)
    Worker(job).finish("failed", "The data is not what it was.")
    app = runs(run)
    assert "The data is not what it was" in text_of(app)
    assert any(button.key == "evaluate:start" for button in app.button)


def test_one_that_failed_does_not_hide_what_an_earlier_one_has_found(run: Job) -> None:
    earlier, later = evaluation_of(run), evaluation_of(run, "20270102")
    write(earlier.files, Findings([compared("held-out rows", losses(2.3), losses(1.4))], []))
    Worker(earlier).finish("finished", "done")
    Worker(later).finish("stopped", "You stopped it.")
    shown = text_of(runs(run))
    assert "You stopped it" in shown and ":green-badge[:material/trending_down: Better]" in shown


def test_a_wrong_field_is_told(run: Job) -> None:
    app = runs(run)
    app.text_input(key="evaluate:general").set_value("")
    click(app, "evaluate:start")
    assert errands_of(run, "evaluate") == []
    assert "general" in text_of(app)


def test_the_first_figure_of_a_run_without_some_layers_is_not_called_the_base(run: Job) -> None:
    smaller = run.recipe.model_copy(update={"model": run.recipe.model.model_copy(update={"drop_layers": 6})})
    write_whole(run.files.recipe, recipe_yaml(smaller))
    assert "the first with 6 of its layers left out and nothing learned" in text_of(runs(run))


def test_a_run_without_anything_to_compare_has_no_card() -> None:
    job = make_job(3, "nothing", "failed", steps=60, reported=0)
    assert "Did it help?" not in text_of(runs(job))


def test_a_damaged_evaluation_does_not_hide_the_run(run: Job) -> None:
    job = evaluation_of(run)
    job.files.evaluation.write_text(json.dumps({"sets": 3}))
    Worker(job).finish("finished", "done")
    assert "Did it help?" in text_of(runs(run))
    job.files.asked("evaluate").write_text("run: [")
    assert "Did it help?" in text_of(runs(run))
    assert errands_of(run, "evaluate") == []


def test_an_evaluation_goes_with_its_run(run: Job) -> None:
    job = evaluation_of(run)
    Worker(job).finish("failed", "The data is not what it was.")
    app = runs(run)
    assert "1 evaluation" in text_of(app)
    click(app, "delete:yes")
    assert not run.folder.exists()
    assert not job.folder.exists()
