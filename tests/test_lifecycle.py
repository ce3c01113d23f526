"""Starting, stopping, dying: every way a real worker's life can go, and what the folder says afterwards."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
import torch

from core import home
from core.errors import JobError
from core.files import append_line
from core.jobs import ending, launcher, process
from core.jobs.folder import Job
from core.jobs.status import Status
from core.jobs.worker import Worker
from core.recipe import Recipe
from tests.toy_training import curve, new_folder, toy_recipe, train

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def nothing_left_running(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # here as in the workers: the order of a sum follows from it
    started: list[Job] = []
    real = launcher._launch
    monkeypatch.setattr(launcher, "_launch", lambda job, token: started.append(job) or real(job, token))
    yield
    torch.set_num_threads(threads)
    for job in started:
        if job.worker:
            job.worker.kill()


@pytest.fixture
def sleeper():
    """A living process that could be a worker, and does not react to a request."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
    child.stdout.readline()
    yield child
    child.kill()
    child.wait()


def long(toy) -> Recipe:
    return toy_recipe(toy, training={"max_steps": 2000}, checkpoints={"every_steps": 10, "keep": 2})


def until(condition, longest_s: float = 60):
    end = time.monotonic() + longest_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_killed_resumed_stopped_resumed_and_finished_is_one_unbroken_curve(toy):
    recipe = toy_recipe(toy, training={"max_steps": 40})
    expected = train(new_folder(recipe, "20260101-000001-whole"))
    job = launcher.start(recipe)
    until(lambda: job.checkpoints)
    os.killpg(job.worker.pid, signal.SIGKILL)
    until(lambda: job.status is Status.INTERRUPTED)
    assert "it was killed" in ending.why(job)
    assert f"Step {job.checkpoints[-1].step} is saved" in ending.why(job)
    launcher.resume(job)
    seen = job.metrics.step
    until(lambda: job.metrics.step > seen + 2)
    launcher.stop(job)
    assert launcher.wait(job, 60) is Status.STOPPED
    launcher.resume(job)
    assert launcher.wait(job, 60) is Status.FINISHED
    assert curve(job) == curve(expected)
    assert not job.files.scratch.exists()
    with pytest.raises(JobError, match="is finished; continue it as a new run"):
        launcher.resume(job)


def test_a_stop_while_the_libraries_load_is_obeyed_at_once(toy):
    job = launcher.start(long(toy))
    until(lambda: job.phase == "preparing")
    launcher.stop(job)
    assert job.status in (Status.STOPPING, Status.STOPPED)
    assert launcher.wait(job, 15) is Status.STOPPED
    assert "Nothing was trained" in ending.why(job)


def test_a_stop_before_the_worker_can_listen_is_a_stop_and_no_crash(toy):
    job = launcher.start(long(toy))
    launcher.stop(job)
    assert launcher.wait(job, 15) is Status.STOPPED
    assert ending.why(job)
    assert ending.can_resume(job)


def test_stop_and_discard_ends_at_once_and_keeps_the_curve(toy):
    job = launcher.start(long(toy))
    until(lambda: job.checkpoints)
    launcher.discard(job)
    assert job.status is Status.STOPPED
    assert "discarded: nothing is saved" in job.result["why"]
    assert job.checkpoints == []
    assert len(job.metrics) >= 10
    assert not job.worker.alive


def test_a_second_request_ends_it_at_once_and_says_what_is_saved(toy):
    job = launcher.start(long(toy))
    until(lambda: job.checkpoints)
    os.kill(job.worker.pid, signal.SIGSTOP)
    launcher.stop(job)
    assert job.status is Status.STOPPING
    launcher.stop(job)
    assert job.status is Status.STOPPED
    assert job.result["why"].startswith("Ended at once. The checkpoint of step")


def test_a_worker_that_ignores_the_request_is_ended_after_a_deadline_though_nobody_watches(sleeper, monkeypatch, toy):
    monkeypatch.setenv("STUDIO_STOP_DEADLINE_S", "2")
    job = new_folder(toy_recipe(toy))
    process.write(job.files.process, process.born(sleeper.pid))
    Worker(job).phase("running")
    launcher.stop(job)
    assert job.status is Status.STOPPING
    assert sleeper.wait(20) == -signal.SIGKILL
    until(lambda: job.result)
    assert "did not react to the stop within 2 s" in job.result["why"]


def test_children_in_sessions_of_their_own_die_with_the_worker():
    code = (
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "start_new_session=True); print(flush=True); time.sleep(60)"
    )
    leader = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
    leader.stdout.readline()
    (child,) = psutil.Process(leader.pid).children()
    process.born(leader.pid).kill()
    leader.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)


def test_two_resumes_at_once_make_one_worker(toy):
    job = launcher.start(long(toy))
    until(lambda: job.checkpoints)
    launcher.stop(job)
    launcher.wait(job, 60)
    launcher.resume(job)
    worker = job.worker
    launcher.resume(job)
    assert job.worker == worker
    launcher.discard(job)


def test_a_folder_never_has_two_workers(toy):
    job = launcher.start(long(toy))
    until(lambda: job.files.lock.exists() and job.phase)
    second = subprocess.run(
        [sys.executable, "-m", "core.jobs", str(job.folder)], cwd=home.ROOT, capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert "Another worker is at work in this folder" in second.stderr
    assert job.status.live
    launcher.discard(job)


def interrupted(toy, birth: process.Birth) -> Job:
    job = new_folder(toy_recipe(toy))
    Worker(job).phase("running")
    process.write(job.files.process, birth)
    return job


def test_a_resume_waits_until_the_worker_that_has_said_how_it_ended_is_gone(toy, monkeypatch):
    ending_one = subprocess.Popen(["sleep", "0.3"], start_new_session=True)
    born = process.born(ending_one.pid)
    job = interrupted(toy, born)
    Worker(job).finish("stopped", "Stopped after step 5 of 12.")
    there: list[bool] = []
    monkeypatch.setattr(launcher, "_launch", lambda job, token: there.append(born.alive))
    assert born.alive
    launcher.resume(job)
    assert there == [False]


def test_silence_has_a_reason(toy, monkeypatch):
    gone = process.Birth(2**22 - 1, psutil.boot_time() + 5, socket.gethostname(), 3)
    job = interrupted(toy, gone)
    reasons = {
        "it was killed": gone,
        "the machine was restarted": replace(gone, birth=psutil.boot_time() - 100),
        "it ran on another machine, elsewhere": replace(gone, host="elsewhere"),
    }
    monkeypatch.setattr(ending, "oom_kills", lambda: 3)
    for reason, birth in reasons.items():
        process.write(job.files.process, birth)
        assert reason in ending.why(job)
        assert "it begins anew" in ending.why(job)
    process.write(job.files.process, gone)
    Worker(job).metric(step=3, loss=1.0, memory_bytes=11.8e9)
    monkeypatch.setattr(ending, "oom_kills", lambda: 4)
    assert "most likely ended it for lack of memory (it held 11.8 of" in ending.why(job)
    append_line(job.files.events, {"time": 5.0, "event": "phase", "phase": "queued"})
    assert "It waited in the queue" in ending.why(job)


def test_a_clock_that_is_set_ends_no_process(monkeypatch):
    mine, boot_time = process.born(os.getpid()), psutil.boot_time()
    # As Linux shows it: the clock is set, so the machine and every process were born at another time.
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot_time + 3600)
    assert psutil.Process().create_time() > mine.birth + 3000
    assert mine.alive
    assert not replace(mine, since_boot=mine.since_boot + 60).alive, "another process has been given its pid"
    assert not replace(mine, since_boot=None).alive


def test_the_kernel_counts_those_it_has_ended(tmp_path):
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 7\n")
    assert process.oom_kills(tmp_path) == 7
    assert process.oom_kills(tmp_path / "nowhere") is None


def test_a_run_that_another_machine_is_writing_is_not_resumed_here(toy):
    elsewhere = process.Birth(4711, 1.0, "elsewhere")
    job = interrupted(toy, elsewhere)
    with pytest.raises(JobError, match="seems to be running on elsewhere"):
        launcher.resume(job)


def test_a_line_that_was_cut_off_does_not_spoil_the_next(toy):
    job = new_folder(toy_recipe(toy))
    with job.files.metrics.open("ab") as file:
        file.write(b'{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    worker = Worker(job)
    worker.begin()
    worker.metric(step=3, loss=1.0)
    assert list(job.metrics["step"]) == [1, 3]
    assert [json.loads(line)["step"] for line in job.files.metrics.read_text().splitlines() if line.endswith("}")]
