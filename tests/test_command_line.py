"""The command line, as a script uses it: exit status, sentences on standard error, JSON, and jobs that really run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from peft import PeftConfig

from core import command_parts, follow, home
from core.__main__ import main
from core.errors import JobError, StudioError
from core.files import append_line, write_whole
from core.jobs import launcher, process, queue
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, find_job
from core.jobs.status import Status
from core.recipe import parse
from core.recipe_yaml import from_yaml, to_yaml
from tests.toy_model import make_toy_model

pytestmark = pytest.mark.process


def studio(*words: str, **settings) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "core", *words], cwd=home.ROOT, capture_output=True, text=True, timeout=120, **settings
    )


@pytest.fixture
def recipe_file(tmp_path) -> Path:
    model = make_toy_model(tmp_path / "toy")
    recipe = parse(
        {
            "name": "toy",
            "model": {"source": str(model)},
            "data": {"sources": [{"source": "starter", "limit": 20}]},
            "training": {"max_steps": 6, "batch": 2, "accumulation": 1, "eval_every": 3, "learning_rate": 1e-3},
            "checkpoints": {"every_steps": 2, "keep": 2},
        }
    )
    file = tmp_path / "recipe.yaml"
    file.write_text(to_yaml(recipe))
    return file


def test_a_recipe_is_trained_to_its_end_and_can_be_looked_at(recipe_file):
    done = studio("train", str(recipe_file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "training, loss" in done.stdout
    assert "\x1b[" not in done.stdout  # plain lines in a pipe
    (row,) = json.loads(studio("jobs", "--json").stdout)
    assert (row["name"], row["status"], row["step"], row["total_steps"]) == ("toy", "finished", 6, 6)
    assert row["id"] in studio("jobs").stdout  # whole, though no window is as wide
    shown = json.loads(studio("show", "toy", "--json").stdout)
    assert [checkpoint["step"] for checkpoint in shown["checkpoints"]] == [4, 6]
    assert [step for step, _ in shown["losses"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in shown["held_out_losses"]] == [0, 3, 6]
    assert shown["resolved"]["precision"]["name"] == "fp32"
    assert "toy" in studio("show", "toy").stdout
    assert "train_loss" in studio("logs", "toy").stdout
    adapter = find_job("toy").files.adapter
    assert PeftConfig.from_pretrained(adapter).r == 16
    assert (
        "base_model" in (adapter / "README.md").read_text()
        or "library_name: peft" in (adapter / "README.md").read_text()
    )


def test_the_page_and_the_command_line_give_the_same_losses(recipe_file):
    typed = json.loads(studio("train", str(recipe_file), "--json").stdout)["losses"]
    job = launcher.start(from_yaml(recipe_file.read_text()))  # what the Start button calls
    assert launcher.wait(job, 120) is Status.FINISHED
    assert typed == [list(pair) for pair in zip(map(int, job.metrics["step"]), job.metrics["loss"], strict=True)]
    assert len(typed) == 6


def test_stopping_saves_a_checkpoint_and_says_where(recipe_file):
    started = studio("train", str(recipe_file), "--set", "training.max_steps=100000", "--detach")
    job = find_job(started.stdout.strip())
    while job.metrics.step < 2:
        assert job.status.live, job.log_tail()
        time.sleep(0.05)
    stopped = studio("stop", job.id, "--json")
    assert stopped.returncode == 0
    assert job.status is Status.STOPPED
    step = job.result["step"]
    assert job.checkpoints[-1].step == step >= 2
    told = json.loads(stopped.stdout)
    assert (told["status"], told["step"]) == ("stopped", step)
    assert f"Stopped after step {step:,} of 100,000" in told["why"]
    assert not job.files.scratch.exists()


def test_a_stopped_training_is_resumed_to_the_same_end(recipe_file):
    expected = json.loads(studio("train", str(recipe_file), "--set", "name=whole", "--json").stdout)["losses"]
    job = find_job(studio("train", str(recipe_file), "--detach").stdout.strip())
    while not job.checkpoints:
        assert job.status.live, job.log_tail()
        time.sleep(0.02)
    os.killpg(job.worker.pid, signal.SIGKILL)
    wrong = studio("resume", job.id, "--from", "99")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "has no checkpoint of step 99 that can be used. Those it has:" in wrong.stderr
    done = studio("resume", job.id, "--from", str(job.checkpoints[0].step), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["losses"] == expected
    again = studio("resume", job.id)
    assert again.returncode == 1
    assert "is finished; continue it as a new run" in again.stderr


def test_the_queue_is_listed_reordered_and_left(recipe_file):
    home.jobs_folder().mkdir(parents=True)
    assert studio("queue").stdout == "Nothing waits.\n"
    (device,) = queue.devices()
    with FileLock(home.device_lock(device)):
        ids = [
            studio("train", str(recipe_file), "--set", f"name={name}", "--detach").stdout.strip() for name in ("a", "b")
        ]
        while len(queue.waiting()) < 2:
            time.sleep(0.05)
        assert studio("move", ids[1], "1").stdout == f"1. {ids[1]}\n2. {ids[0]}\n"
        assert [row["id"] for row in json.loads(studio("queue", "--json").stdout)] == ids[::-1]
        for job_id in ids:
            assert "Taken out of the queue" in studio("stop", job_id).stdout
        assert "does not wait in the queue" in studio("move", ids[0], "1").stderr
    assert [job.status for job in all_jobs()] == [Status.STOPPED] * 2


def test_discarding_removes_what_was_saved(recipe_file):
    job = find_job(studio("train", str(recipe_file), "--set", "training.max_steps=100000", "--detach").stdout.strip())
    while not job.checkpoints:
        assert job.status.live, job.log_tail()
        time.sleep(0.05)
    assert "discarded: nothing is saved" in studio("stop", job.id, "--discard").stdout
    assert job.status is Status.STOPPED
    assert not job.checkpoints


def test_ctrl_c_asks_the_training_to_save_and_stop(recipe_file):
    child = subprocess.Popen(
        [sys.executable, "-m", "core", "train", str(recipe_file), "--set", "training.max_steps=100000"],
        cwd=home.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not (all_jobs() and all_jobs()[0].metrics.step > 1):
        assert child.poll() is None
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(60) == 1
    assert "Stopping after this step" in child.stderr.read()
    assert all_jobs()[0].status is Status.STOPPED
    assert all_jobs()[0].checkpoints


def live_job() -> Job:
    """A training at work, whose worker is this process."""
    job = Job(home.job_folder("20260101-000000-live"))
    write_whole(job.files.recipe, to_yaml(parse({"name": "live"})))
    append_line(job.files.events, {"time": time.time(), "event": "created", "kind": "train"})
    append_line(job.files.events, {"time": time.time(), "event": "phase", "phase": "running"})
    process.write(job.files.process, process.born(os.getpid()))
    return job


def interrupted(*asked):
    raise KeyboardInterrupt


def test_ctrl_c_is_no_success(monkeypatch):
    job = live_job()
    job.files.log.touch()
    monkeypatch.setattr(follow, "log_lines", interrupted)
    monkeypatch.setattr(sys, "argv", ["core", "logs", job.id])
    assert main() == 130


def test_ctrl_c_as_the_job_ends_leaves_how_it_ended(monkeypatch):
    def ended(job, quiet):
        write_whole(job.files.result, '{"status": "finished", "why": ""}')
        raise KeyboardInterrupt

    job = live_job()
    monkeypatch.setattr(follow, "follow", ended)
    command_parts.watch(job, detach=False, as_json=False)
    assert job.status is Status.FINISHED


def test_why_a_job_failed_is_said_once(monkeypatch, capsys):
    job = live_job()
    monkeypatch.setattr(
        follow, "_lines", lambda job: write_whole(job.files.result, '{"status": "failed", "why": "No."}')
    )
    with pytest.raises(StudioError, match=r"^No\.$"):
        command_parts.watch(job, detach=False, as_json=False)
    assert capsys.readouterr().out == ""


def test_a_job_whose_worker_has_never_run_here_has_no_log():
    with pytest.raises(JobError, match="live has no log"):
        list(follow.log_lines(live_job(), go_on=False))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "nowhere.yaml"], "nowhere.yaml cannot be read: there is no such file"),
        (["show", "nothing"], "There is no job 'nothing'"),
        (["stop", "../x"], "There is no job '../x'"),
        (["chat", "nothing", "--prompt", "Hi"], "There is no job 'nothing'"),
    ],
)
def test_a_mistake_is_one_paragraph_and_exit_status_1(words, said):
    done = studio(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("lora.rnak=8", "lora.rnak: unknown key"),
        ("lora.rank=0", "lora.rank: 0 is too small"),
        ("training.learning_rate=50", "training.learning_rate: 50 is too large"),
        ("name=../x", "name: '../x' is not usable here"),
        ("data.sources[0].source=/no/faq.jsonl", "The data file /no/faq.jsonl is not there"),
        ("model.source=/no/model", "The model folder /no/model is not there"),
    ],
)
def test_a_bad_recipe_is_refused_and_nothing_is_left_behind(recipe_file, studio_home, change, said):
    for command in (["recipe", "check"], ["train"]):
        done = studio(*command, str(recipe_file), "--set", change)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not (studio_home / "jobs").exists()


def test_data_that_cannot_be_used_fails_the_job_with_its_sentence(recipe_file, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"messages": [{"role": "user", "content": "Hi"}]}\n')
    done = studio("prepare", str(recipe_file), "--set", f"data.sources[0].source={rows}")
    assert done.returncode == 1
    assert "rows.jsonl, line 1: the column `messages` has no assistant turn" in done.stderr
    assert all_jobs()[0].status is Status.FAILED


def test_two_jobs_are_compared_by_their_recipes(recipe_file):
    for name in ("a", "b"):
        studio("prepare", str(recipe_file), "--set", f"name={name}", "--set", f"lora.rank={8 if name == 'a' else 16}")
    assert studio("diff", "a", "b").stdout == "name: a | b\nlora.rank: 8 | 16\n"
    assert json.loads(studio("diff", "a", "b", "--json").stdout)["lora.rank"] == [8, 16]
    assert studio("diff", "a", "a").stdout == "They have the same recipe.\n"


def test_a_good_recipe_is_said_to_be_good(recipe_file):
    done = studio("recipe", "check", str(recipe_file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "is a good recipe" in done.stdout
