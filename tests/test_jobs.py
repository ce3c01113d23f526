"""Jobs: the files are the truth. Real processes, real folders, signals as a system sends them."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from filelock import FileLock, Timeout

from core import home
from core.errors import DataError, HomeError, JobError, ModelError, StudioError
from core.jobs import launcher, preflight, process
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, find_job, live_jobs
from core.jobs.status import Status
from core.jobs.worker import Worker
from core.recipe import Recipe, parse
from core.recipe_yaml import to_yaml
from tests.toy_model import make_toy_model

pytestmark = pytest.mark.process


def new_job(name: str = "20260101-000000-try", kind: str = "train", recipe: Recipe | None = None) -> Worker:
    """A job folder as the launcher makes it, with its writing side."""
    job = Job(home.job_folder(name))
    job.folder.mkdir(parents=True)
    job.files.recipe.write_text(to_yaml(recipe or parse({"name": "try"})))
    worker = Worker(job)
    worker.event("created", kind=kind)
    return worker


@pytest.fixture
def sleeper():
    """A living process that could be a worker."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def test_the_status_follows_from_the_files_and_the_process(sleeper):
    worker = new_job()
    assert worker.job.status is Status.STARTING
    process.write(worker.files.process, process.born(sleeper.pid))
    assert worker.job.status is Status.STARTING
    for phase in ("preparing", "running", "stopping"):
        worker.phase(phase)
        assert worker.job.status == phase
    worker.finish("stopped", "Stopped after step 3.")
    assert worker.job.status is Status.STOPPED


@pytest.mark.parametrize(("turn", "worked_s"), [("", 7), ("turn", 47)])
def test_waiting_in_the_queue_is_no_work_also_for_who_is_taken_out_of_it(turn, worked_s):
    job = new_job().job
    rows = [{"event": "resuming", "before_s": 7}, {"event": "phase", "phase": "queued"}, {"event": turn}]
    rows.append({"event": "phase", "phase": "stopping"})
    lines = [json.dumps({"time": 20.0 * place} | row) for place, row in enumerate(rows) if row["event"]]
    job.files.events.write_text("\n".join(lines) + "\n")
    job.files.result.write_text(json.dumps({"status": "stopped", "why": "", "time": 80.0}))
    assert job.duration_s == worked_s


def test_a_worker_that_was_killed_leaves_an_interrupted_job(sleeper):
    worker = new_job()
    process.write(worker.files.process, process.born(sleeper.pid))
    worker.phase("running")
    sleeper.kill()
    # Nobody has waited for it: it is a zombie, and a zombie is dead.
    while psutil.Process(sleeper.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert worker.job.status is Status.INTERRUPTED


def test_another_process_with_the_same_pid_is_not_the_worker(sleeper):
    worker = new_job()
    born = process.born(sleeper.pid)
    since_boot = born.since_boot and born.since_boot - 1000
    process.write(worker.files.process, replace(born, birth=born.birth - 1000, since_boot=since_boot))
    assert worker.job.status is Status.INTERRUPTED


def test_a_worker_of_another_machine_is_not_alive_here(sleeper):
    worker = new_job()
    process.write(worker.files.process, replace(process.born(sleeper.pid), host="elsewhere"))
    assert worker.job.status is Status.INTERRUPTED


def test_a_worker_goes_on_while_its_laptop_changes_the_network_and_with_it_its_domain(sleeper, monkeypatch):
    worker = new_job()
    process.write(worker.files.process, replace(process.born(sleeper.pid), host="Ann.local"))
    monkeypatch.setattr(process.socket, "gethostname", lambda: "ann.example.org")
    assert worker.job.status.live
    monkeypatch.setattr(process.socket, "gethostname", lambda: "bob.local")
    assert worker.job.status is Status.INTERRUPTED


def test_a_line_that_is_still_being_written_is_not_read():
    worker = new_job()
    worker.metric(step=1, loss=2.5)
    with worker.files.metrics.open("ab") as file:
        file.write(b'{"step": 2, "lo')
    assert list(worker.job.metrics["loss"]) == [2.5]
    with worker.files.metrics.open("ab") as file:
        file.write(b'ss": 1.5}\n')
    assert list(worker.job.metrics["loss"]) == [2.5, 1.5]


def test_a_broken_line_spoils_no_other():
    worker = new_job()
    worker.metric(step=1, loss=2.5)
    with worker.files.metrics.open("ab") as file:
        file.write(b"\x00\xff garbage\n[]\n")
    worker.metric(step=2, loss=1.5)
    assert list(worker.job.metrics["step"]) == [1, 2]


def test_a_number_that_is_not_finite_is_null_on_disk_and_flagged():
    worker = new_job()
    worker.metric(step=1, loss=math.nan, grad_norm=math.inf)
    row = json.loads(worker.files.metrics.read_text())
    assert (row["loss"], row["grad_norm"], row["not_finite"]) == (None, None, ["loss", "grad_norm"])
    assert math.isnan(worker.job.metrics["loss"][0])


def test_the_best_held_out_loss_is_the_smallest_finite_one():
    worker = new_job()
    for step, loss in enumerate([3.0, 1.25, math.nan, 2.0]):
        worker.metric(step=step, held_out_loss=loss)
    assert (worker.job.metrics.best_held_out_loss, worker.job.metrics.last_held_out_loss) == (1.25, 2.0)


def test_a_checkpoint_without_manifest_is_none():
    worker = new_job()
    worker.files.checkpoint(5).mkdir(parents=True)
    assert worker.job.checkpoints == []
    for broken in ("", "{", "[]", "{}", '{"step": "5", "files": {}}', '{"step": 5, "files": {"a": {}}}'):
        home.manifest_file(worker.files.checkpoint(5)).write_text(broken)
        assert worker.job.checkpoints == []


def test_a_damaged_job_is_shown_as_such_and_spoils_no_other():
    good = new_job("20260101-000000-good")
    bad = new_job("20260102-000000-bad")
    bad.files.recipe.write_text("lora: {rank: none}")
    good.finish("finished", "Done.")
    assert [job.status for job in all_jobs()] == [Status.DAMAGED, Status.FINISHED]
    assert "lora.rank" in all_jobs()[0].damage


def test_a_job_is_found_by_its_id_or_by_the_name_of_its_run():
    older, newer = new_job("20260101-000000-try"), new_job("20260102-000000-try")
    assert find_job("try").id == newer.job.id
    assert find_job(older.job.id).id == older.job.id
    with pytest.raises(JobError, match="no job 'nothing'"):
        find_job("nothing")


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", ".", "x\0y", "a\\b", "n" * 300])
def test_a_name_cannot_leave_its_folder(name):
    with pytest.raises(HomeError, match="not a usable name"):
        home.job_folder(name)


def with_model(folder) -> Recipe:
    return parse({"model": {"source": str(folder)}})


@pytest.mark.parametrize(
    ("recipe", "error", "said"),
    [
        ({"model": {"source": "/nowhere/model"}}, ModelError, "/nowhere/model is not there"),
        ({"model": {"source": "a b"}}, ModelError, "'a b' is no model"),
        ({"data": {"sources": [{"source": "/nowhere/faq.jsonl"}]}}, DataError, "faq.jsonl is not there"),
        ({"data": {"sources": [{"source": "..."}]}}, DataError, "'...' is no data set"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(studio_home, recipe, error, said):
    with pytest.raises(error) as caught:
        launcher.start(parse(recipe))
    assert said in str(caught.value)
    assert not studio_home.exists()


def test_data_sets_that_cannot_be_prepared_are_all_named_before_a_model_is_fetched(studio_home, tmp_path):
    (tmp_path / "empty.csv").write_text("question,answer\n")
    (tmp_path / "odd.csv").write_text("Frage,Antwort\nWo?,Hier.\n")
    sources = [{"source": str(tmp_path / name)} for name in ("empty.csv", "odd.csv", "odd.csv")]
    for kind in ("prepare", "train", "probe"):
        with pytest.raises(StudioError) as caught:
            launcher.start(parse({"data": {"sources": sources}}), kind)
        empty, odd = str(caught.value).splitlines()
        assert "empty.csv is empty" in empty and "odd.csv: the columns (Frage, Antwort) fit no layout" in odd
    assert not studio_home.exists()


def test_a_model_folder_without_weights_is_refused(studio_home, tmp_path):
    folder = make_toy_model(tmp_path / "toy")
    next(folder.glob("*.safetensors")).unlink()
    with pytest.raises(ModelError, match=r"has no weights: put its \.safetensors files"):
        launcher.start(with_model(folder))
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        launcher.start(with_model(folder))
    assert not studio_home.exists()


def test_a_full_disk_is_said_before_the_start(studio_home, monkeypatch):
    disk = shutil.disk_usage("/")
    monkeypatch.setattr("core.hardware.shutil.disk_usage", lambda folder: disk._replace(free=10_000_000))
    with pytest.raises(JobError, match=r"The disk has 0\.0 GB free, and this needs about"):
        preflight.check(Recipe())


def test_a_job_that_is_over_cannot_be_stopped_and_a_live_one_not_deleted(sleeper):
    worker = new_job()
    process.write(worker.files.process, process.born(sleeper.pid))
    worker.phase("running")
    with pytest.raises(JobError, match="is running"):
        launcher.delete(worker.job)
    worker.finish("finished", "Done.")
    with pytest.raises(JobError, match="nothing to stop"):
        launcher.stop(worker.job)
    launcher.delete(worker.job)
    assert not worker.job.folder.exists()
    launcher.delete(worker.job)  # as another tab may, which was drawn before


def test_a_job_whose_files_are_going_is_there_for_nobody_and_nobody_resumes_it(monkeypatch):
    worker, real, seen = new_job(), shutil.rmtree, []
    worker.finish("stopped", "Stopped.")

    def look(folder: Path, **how: bool) -> None:
        with pytest.raises(Timeout):
            FileLock(home.start_lock()).acquire(timeout=0)
        seen.append(len(all_jobs()))
        real(folder, **how)

    monkeypatch.setattr("core.files.shutil.rmtree", look)
    launcher.delete(worker.job)
    assert seen[-1] == 0
    assert not home.deleted_aside().exists()
    with pytest.raises(JobError, match="is deleted"):
        launcher.resume(worker.job)


def test_a_second_stop_ends_the_whole_group(sleeper):
    worker = new_job()
    process.write(worker.files.process, process.born(sleeper.pid))
    worker.phase("stopping")
    launcher.stop(worker.job)
    assert sleeper.wait(5) == -signal.SIGKILL


def prepare_recipe(tmp_path, lines: list[str]) -> Recipe:
    file = tmp_path / "faq.jsonl"
    file.write_text("\n".join(lines))
    model = make_toy_model(tmp_path / "toy")
    return parse({"model": {"source": str(model)}, "data": {"sources": [{"source": str(file)}]}})


def chat(answer: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": answer}]})


GOOD = chat("Hello")
FOUR = [chat(f"{word} " * 9) for word in ("Hello", "Welcome", "Greetings", "Morning")]


def test_a_job_runs_in_a_session_of_its_own_and_says_how_it_ended(tmp_path):
    job = launcher.start(prepare_recipe(tmp_path, FOUR), "prepare")
    assert os.getsid(job.worker.pid) == job.worker.pid != os.getsid(0)
    assert job in live_jobs("prepare")
    assert launcher.wait(job, 60) is Status.FINISHED
    assert "3 rows are ready" in job.result["why"]


def test_a_line_that_is_not_json_fails_the_job_in_words_and_leaves_no_half_made_set(tmp_path):
    job = launcher.start(prepare_recipe(tmp_path, [GOOD, "{oops"]), "prepare")
    assert launcher.wait(job, 60) is Status.FAILED
    assert job.result["why"].startswith("faq.jsonl, line 2: this is not JSON")
    assert not [*home.prepared_folder().glob("*"), *home.encoded_folder().glob("*")]


def test_a_stop_while_preparing_is_obeyed_at_once(tmp_path):
    job = launcher.start(prepare_recipe(tmp_path, FOUR), "prepare")
    while job.status is Status.STARTING:
        time.sleep(0.01)
    launcher.stop(job)
    assert launcher.wait(job, 30) is Status.STOPPED
    assert "Stopped before the data was ready" in job.result["why"]
