"""Publish and export from the pages: what is chosen, what is refused, how it goes; in a process that cannot import torch."""

import json
import subprocess
from concurrent.futures import Future
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from benchmarks.synthetic_jobs import make_job
from core import home
from core.errors import HubError
from core.export.asked import Export, parts
from core.files import append_line, write_whole
from core.hub.account import Account
from core.hub.publication import Publication
from core.jobs import launcher
from core.jobs.about import About, write_about
from core.jobs.asked import beside, read
from core.jobs.errand import Errand, errands_of
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.recipe_yaml import to_yaml
from studio import export_card
from studio.compare_view import _moment
from tests.test_page_runs import runs
from tests.test_pages import click, opened, text_of
from tests.test_pages import studio_home as home_of_pages  # noqa: F401  ends workers, keeps torch away


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that does nothing, and nobody who is signed in on this machine."""

    def sleep(module: str, folder: Path, *extra: object) -> subprocess.Popen:
        return subprocess.Popen(["sleep", "600"], start_new_session=True)

    monkeypatch.setattr(launcher, "_detached", sleep)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run() -> Job:
    job = make_job(1, "taught", steps=60)
    write_about(job.files.about, About("Taught: me & <you>"))
    job.files.adapter.mkdir()
    for name, text in {"adapter_config.json": "{}", "adapter_model.safetensors": "0" * 2_000_000}.items():
        (job.files.adapter / name).write_text(text)
    return job


def answered(value: object) -> Future:
    """What the Hub has told before the page was opened."""
    future: Future = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


def hub_page(standing: object = "free", name: str = "Taught-me-you", times: int = 0) -> AppTest:
    app = opened()
    app.session_state["fact:hub token"] = "hf_ann"
    app.session_state["fact:hub question account"] = answered(Account("ann", ("team",), "write", ("ann", "team")))
    question = f"standing ann/{name}{f' {times}' if times else ''}"
    app.session_state[f"fact:hub question {question}"] = answered(standing)
    app.switch_page("../pages/hub.py").run()
    assert not app.exception
    return app


def job_of(run: Job, kind: str, asked: Errand) -> Job:
    job = Job(home.job_folder(f"20270101-000000-{kind}"))
    write_whole(job.files.recipe, to_yaml(run.recipe))
    for name, text in beside(kind, asked).items():
        write_whole(job.folder / name, text)
    append_line(job.files.events, {"time": 2.0, "event": "created", "kind": kind})
    return job


def button(app: AppTest, key: str):
    return next(found for found in app.button if found.key == key)


def test_without_a_run_the_form_says_what_is_missing():
    assert "A run with a result or a checkpoint" in text_of(opened("hub"))


def test_who_is_not_signed_in_can_read_the_card_and_not_publish(run):
    app = opened("hub")
    assert not app.exception
    assert "Sign in above" in text_of(app)
    assert button(app, "publish:go").disabled
    assert "A LoRA adapter for" in text_of(app)


def test_of_two_runs_of_one_name_and_day_each_can_be_chosen(run):
    older, newer = make_job(52, "same", steps=40), make_job(51, "same", steps=80)
    app = opened("hub")
    choice = app.selectbox(key="publish:run")
    assert len(set(choice.options)) == 3
    for job in (older, newer):
        label = next(label for label in choice.options if label.startswith("same") and _moment(job) in label)
        app.selectbox(key="publish:run").select(label).run()
        assert app.selectbox(key=f"publish:step:{job.id}")


def test_a_run_is_published_privately_from_the_checkpoint_that_is_chosen(run):
    app = hub_page()
    assert "ann/Taught-me-you is free" in text_of(app).replace("\\", "")
    assert button(app, "publish:go").label == "Publish 2 MB"
    assert "AutoPeftModelForCausalLM" in text_of(app)
    app.selectbox(key=f"publish:step:{run.id}").set_value(run.checkpoints[-1].step).run()
    click(app, "publish:go")
    (job,) = errands_of(run, "publish")
    asked = read(job, Publication)
    assert (asked.repository, asked.step, asked.what, asked.private) == (
        "ann/Taught-me-you", run.checkpoints[-1].step, "adapter", True,
    )  # fmt: skip
    assert [found.key for found in app.button if found.key == "publishing:stop"]


@pytest.mark.parametrize("earlier", [None, "20260101-000000-earlier"])
def test_a_model_that_was_published_for_everybody_stays_so_when_it_is_published_again(run, earlier):
    job = job_of(run, "publish", Publication(run=earlier or run.id, repository="ann/Taught-me-you", private=False))
    Worker(job).finish("finished", "Published.")
    app = hub_page(HubError("The Hub cannot be reached."), times=1)
    assert "will be updated" in text_of(app)
    assert app.toggle(key="publish:private:ann/Taught-me-you:False").value is False
    assert not button(app, "publish:go").disabled
    app.text_input(key=f"publish:name:{run.id}").set_value("another").run()
    assert app.toggle(key="publish:private").value is True


def test_a_merged_model_has_a_precision_and_another_card(run):
    app = hub_page()
    app.segmented_control(key=f"publish:what:{run.id}").set_value("both").run()
    app.segmented_control(key=f"publish:precision:{run.id}").set_value("fp32").run()
    assert button(app, "publish:go").label == "Publish 540 MB"
    assert "AutoModelForCausalLM" in text_of(app)


def test_a_gguf_file_has_numbers_of_its_own(run):
    app = hub_page()
    app.segmented_control(key=f"publish:what:{run.id}").set_value("gguf").run()
    assert button(app, "publish:go").label == "Publish 143 MB"
    app.segmented_control(key=f"publish:gguf:{run.id}").set_value("q4_1").run()
    assert button(app, "publish:go").label == "Publish 96 MB"
    assert "llama-server -hf ann/Taught-me-you" in text_of(app)


@pytest.mark.parametrize(
    ("standing", "said", "can_go"),
    [
        ("private", "was published from here", True),
        (HubError("ann/x holds something that was not published from here."), "holds something", False),
        (HubError("The Hub cannot be reached, so it was not asked."), "cannot be reached", False),
    ],
)
def test_the_name_is_looked_up(run, standing, said, can_go):
    app = hub_page(standing)
    assert said in text_of(app)
    assert button(app, "publish:go").disabled is not can_go


@pytest.mark.parametrize("private", [True, False])
def test_who_can_see_a_model_is_what_the_hub_says_whatever_was_published_from_here(run, private):
    job = job_of(run, "publish", Publication(run=run.id, repository="ann/Taught-me-you", private=not private))
    Worker(job).finish("finished", "Published.")
    app = hub_page("private" if private else "public", times=1)
    assert app.toggle(key=f"publish:private:ann/Taught-me-you:{private}").value is private


def test_an_adapter_on_a_folder_of_this_machine_is_offered_merged(run):
    write_whole(run.files.recipe, to_yaml(run.recipe).replace("source: starter", "source: /models/mine", 1))
    app = hub_page()
    assert app.segmented_control(key=f"publish:what:{run.id}").value == "merged"
    app.segmented_control(key=f"publish:what:{run.id}").set_value("adapter").run()
    assert "Publish it merged" in text_of(app)
    assert button(app, "publish:go").disabled


def test_how_it_went_is_shown_and_a_broken_one_goes_on(run):
    job = job_of(run, "publish", Publication(run=run.id, repository="ann/there"))
    Worker(job).finish("failed", "The Hub did not answer in time.")
    app = hub_page()
    assert "The Hub did not answer in time" in text_of(app)
    click(app, "publishing:resume")
    assert job.status.live
    launcher.end(job, "over")
    Worker(job).finish("finished", "Published.")
    assert "/ann/there" in " ".join(found.value for found in hub_page().success)


def test_the_card_shows_its_text(run):
    app = hub_page()
    app.segmented_control(key="publish:card").set_value("Text").run()
    assert any("base_model: HuggingFaceTB" in found.value for found in app.code)


def test_an_export_is_started_and_shown_where_the_run_is(run):
    app = runs(run)
    assert "Export packs the adapter" in text_of(app)
    click(app, "export:start")
    (job,) = errands_of(run, "export")
    assert read(job, Export).what == "adapter"
    assert [
        found.proto.id.rpartition("-")[2] for found in app.get("popover") if found.proto.popover.label == "Export"
    ] == ["export:1"]
    launcher.end(job, "Stopped.")
    app = runs(run)
    assert "Stopped." in text_of(app)
    click(app, f"export:resume:{job.id}")
    assert job.status.live
    launcher.end(job, "over")


def test_what_was_exported_can_be_downloaded_found_and_removed(run):
    job = job_of(run, "export", Export(run=run.id, what="both", precision="fp16", step=60))
    (job.files.made / "merged").mkdir(parents=True)
    (job.files.made / "taught-step-60.zip").write_bytes(b"PK")
    Worker(job).finish("finished", "done")
    app = runs(run)
    assert "Adapter and merged model of step 60 in fp16" in text_of(app)
    paths = [found.value for found in app.code]
    assert str(job.files.made / "merged") in paths
    assert [found.proto.label for found in app.get("download_button")][-1] == "Download the adapter"
    assert "1 export" in text_of(app)
    click(app, f"export:remove:{job.id}")
    assert not job.folder.exists()
    assert run.folder.exists()


def test_a_gguf_file_is_shown_with_the_command_that_starts_it_in_ollama(run, monkeypatch):
    job = job_of(run, "export", Export(run=run.id, what="gguf"))
    file = job.files.made / "gguf" / "Taught-me-you-Q8_0.gguf"
    write_whole(file, "GGUF")
    Worker(job).warning("It was not compared.")
    Worker(job).finish("finished", "done")
    app = runs(run)
    assert "It was not compared" in text_of(app)
    assert "GGUF file of the result in q8_0" in text_of(app)
    assert str(file) in [found.value for found in app.code]
    assert app.code[-1].value.endswith(f'-f "{file.parent / "Modelfile"}" && ollama run taught-me-you')
    assert app.get("download_button")[-1].proto.label == "Download"
    monkeypatch.setattr(export_card, "LARGEST_DOWNLOAD_BYTES", 3)
    assert not [found for found in runs(run).get("download_button") if job.id in found.proto.id]


def test_a_damaged_errand_does_not_hide_the_run(run):
    job = job_of(run, "export", Export(run=run.id))
    job.files.asked("export").write_text(json.dumps({"run": run.id, "what": "everything"}))
    Worker(job).finish("failed", "It broke.")
    assert "It broke" in text_of(runs(run))
    write_whole(job.files.made / "gguf" / "taught.gguf", "GGUF")
    Worker(job).finish("finished", "done")
    app = runs(run)
    assert not app.error
    assert "ollama run" in app.code[-1].value
    click(app, "delete:yes")
    assert not job.folder.exists()


@pytest.mark.parametrize("name", ["", "two words", "a..b"])
def test_a_name_that_cannot_be_is_not_looked_up(run, name):
    app = hub_page()
    app.text_input(key=f"publish:name:{run.id}").set_value(name).run()
    assert not app.exception
    assert button(app, "publish:go").disabled


def test_a_run_without_some_layers_is_published_merged_for_nobody_has_the_model_of_its_adapter(run):
    smaller = run.recipe.model_copy(update={"model": run.recipe.model.model_copy(update={"drop_layers": 6})})
    write_whole(run.files.recipe, to_yaml(smaller))
    app = hub_page()
    assert app.segmented_control(key=f"publish:what:{run.id}").options == ["Model", "GGUF"]
    said = text_of(app).replace("\\", "")
    assert "without 6 of its layers, with a LoRA adapter merged into it" in said
    assert "AutoModelForCausalLM" in said and "PeftModel" not in said
    assert button(app, "publish:go").label == "Publish 227 MB"
    click(app, "publish:go")
    (job,) = errands_of(run, "publish")
    assert parts(read(job, Publication), job.recipe) == ("merged",)
