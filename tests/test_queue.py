"""The queue: one training a device; who waits is a process that has loaded nothing, and nobody has to manage it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from core import home
from core.errors import JobError
from core.jobs import launcher, queue
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, live_jobs, training_now
from core.jobs.status import Status
from core.recipe import Recipe
from tests.toy_model import make_toy_model
from tests.toy_training import toy_recipe

pytestmark = pytest.mark.process


@pytest.fixture
def busy_device(studio_home):
    """Another training holds the only device; release() lets it go."""
    home.jobs_folder().mkdir(parents=True)
    (device,) = queue.devices()
    lock = FileLock(home.device_lock(device))
    lock.acquire()
    yield lock
    lock.release()
    for job in live_jobs():
        launcher.discard(job)


def recipe(toy, name: str) -> Recipe:
    return toy_recipe(toy, training={"max_steps": 1}).model_copy(update={"name": name})


def waits(job: Job) -> Job:
    until = time.monotonic() + 30
    while job.status is not Status.QUEUED:
        assert time.monotonic() < until, job.status
        time.sleep(0.05)
    return job


def test_a_second_training_waits_without_torch_and_begins_when_the_device_is_free(toy, busy_device):
    job = waits(launcher.start(recipe(toy, "second")))
    assert job.status.live
    assert training_now() is None
    maps = Path(f"/proc/{job.worker.pid}/maps")
    assert not maps.exists() or "libtorch" not in maps.read_text()
    busy_device.release()
    assert launcher.wait(job, 90) is Status.FINISHED


def test_first_come_first_served_until_somebody_changes_the_order(toy, busy_device):
    jobs = [waits(launcher.start(recipe(toy, name))) for name in ("one", "two", "three")]
    one, two, three = (job.id for job in jobs)
    assert [job.id for job in queue.waiting()] == [one, two, three]
    queue.move(jobs[2], 1)
    assert [job.id for job in queue.waiting()] == [three, one, two]
    queue.move(jobs[2], 99)
    assert [job.id for job in queue.waiting()] == [one, two, three]
    launcher.stop(jobs[0])
    assert launcher.wait(jobs[0], 10) is Status.STOPPED
    assert jobs[0].result["why"] == "Taken out of the queue before its turn came."
    assert [job.id for job in queue.waiting()] == [two, three]
    with pytest.raises(JobError, match="does not wait in the queue: it is stopped"):
        queue.move(jobs[0], 1)


def test_a_waiting_job_that_can_no_longer_start_says_why_and_lets_the_next_go(toy, busy_device, tmp_path):
    model = make_toy_model(tmp_path / "own")
    first = waits(launcher.start(recipe(model, "first")))
    second = waits(launcher.start(recipe(toy, "second")))
    next(model.glob("*.safetensors")).unlink()
    busy_device.release()
    assert launcher.wait(second, 90) is Status.FINISHED
    assert first.status is Status.FAILED
    assert "has no weights" in first.result["why"]


def test_the_same_recipe_from_many_tabs_at_once_is_one_run(toy, busy_device):
    started: list[Job] = []
    tabs = [threading.Thread(target=lambda: started.append(launcher.start(recipe(toy, "same")))) for _ in range(6)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert len({job.id for job in started}) == len(all_jobs()) == 1
    assert launcher.start(recipe(toy, "another")).id != started[0].id


def test_the_queue_survives_whoever_filled_it(toy, busy_device, tmp_path):
    script = (
        "import sys, time; from core.jobs import launcher; from core.recipe_yaml import load; from pathlib import Path\n"
        "print(launcher.start(load(Path(sys.argv[1]))).id, flush=True); time.sleep(60)"
    )
    from core.recipe_yaml import to_yaml

    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe(toy, "orphan")))
    app = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "recipe.yaml")], cwd=home.ROOT, stdout=subprocess.PIPE, text=True
    )
    job = Job(home.job_folder(app.stdout.readline().strip()))
    app.send_signal(signal.SIGKILL)
    app.wait()
    waits(job)
    os.kill(job.worker.pid, 0)
    assert [waiting.id for waiting in queue.waiting()] == [job.id]


def test_a_queue_file_that_somebody_broke_leaves_the_order_of_arrival(toy, busy_device):
    jobs = [waits(launcher.start(recipe(toy, name))) for name in ("one", "two")]
    for text in ("", "[", "[]", '{"order": 3}', '{"order": [1, null, "x"]}'):
        home.queue_file().write_text(text)
        assert [job.id for job in queue.waiting()] == [job.id for job in jobs]


def test_an_order_holds_for_those_that_waited_then_and_not_for_who_comes_again(toy, busy_device):
    jobs = [waits(launcher.start(recipe(toy, name))) for name in ("one", "two")]
    one, two = (job.id for job in jobs)
    queue.move(jobs[1], 1)
    assert [job.id for job in queue.waiting()] == [two, one]
    launcher.stop(jobs[1])
    assert launcher.wait(jobs[1], 10) is Status.STOPPED
    launcher.resume(jobs[1])
    waits(jobs[1])
    assert [job.id for job in queue.waiting()] == [one, two]


def test_several_gpus_train_side_by_side(studio_home, monkeypatch):
    monkeypatch.setattr(queue, "devices", lambda: ["gpu-0", "gpu-1", "gpu-2"])
    monkeypatch.setattr(queue, "_line", list)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    home.jobs_folder().mkdir(parents=True)
    with queue.ExitStack() as first, queue.ExitStack() as second, queue.ExitStack() as third:
        assert queue._try(None, 1, first)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
        assert not queue._try(None, 3, third)
        assert queue._try(None, 2, second)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,6"
        first.close()
        assert not queue._try(None, 2, third)
        assert queue._try(None, 1, third)
