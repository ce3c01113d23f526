"""A full disk, a real one: a small file system is filled while a training writes to it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from core import home
from core.errors import JobError
from core.jobs import __main__ as worker_main
from core.jobs import launcher, process
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.training import checkpoints
from tests.toy_model import make_toy_model
from tests.toy_training import adapter_bytes, curve, new_folder, resume, toy_recipe, train

pytestmark = pytest.mark.process
SIZE = "32m"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    torch.set_num_threads(1)
    return make_toy_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A file system of a few megabytes that holds the studio's home."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    monkeypatch.setenv("STUDIO_HOME", str(folder / "home"))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(b"\0" * max(0, shutil.disk_usage(disk).free - leave))
    return filler


@pytest.mark.parametrize("leave", [0, 20_000, 150_000])
def test_a_disk_that_fills_up_in_the_middle_of_a_checkpoint_leaves_the_one_before_intact(
    toy, small_disk, leave, monkeypatch
):
    recipe = toy_recipe(toy)
    expected = train(new_folder(recipe, "20260101-000001-whole"))
    job = new_folder(recipe)
    real = checkpoints.check_space

    def fills_up_afterwards(job: Job):
        if job.checkpoints:
            fill(small_disk, leave)
        else:
            real(job)

    monkeypatch.setattr(checkpoints, "check_space", fills_up_afterwards)
    monkeypatch.setattr(checkpoints, "SPARE_BYTES", 100_000)
    with pytest.raises(JobError, match=r"The disk is full: .* The checkpoint of step 4 is intact.*then resume"):
        train(job)
    assert [checkpoint.step for checkpoint in job.checkpoints] == [4]
    assert job.checkpoints[0].damage(hashes=True) is None
    assert not list(job.files.scratch.glob("*"))

    (small_disk / "filler").unlink()
    monkeypatch.setattr(checkpoints, "check_space", lambda job: None)
    resume(job)
    assert curve(job) == curve(expected)
    assert adapter_bytes(job) == adapter_bytes(expected)


def test_too_little_space_is_noticed_before_a_checkpoint_is_begun(toy, small_disk, monkeypatch):
    job = new_folder(toy_recipe(toy))
    monkeypatch.setattr(checkpoints, "SPARE_BYTES", 100_000)
    began = []
    real = checkpoints.check_space

    def looked(job: Job):
        if job.checkpoints:
            fill(small_disk, 200_000)
            began.append(list(job.files.scratch.glob("checkpoint-*")))
        real(job)

    monkeypatch.setattr(checkpoints, "check_space", looked)
    with pytest.raises(JobError, match=r"The disk is full: 0 MB free, and a checkpoint needs 0 MB"):
        train(job)
    assert began == [[]]


def test_a_worker_on_a_full_disk_still_says_how_it_ended(small_disk, toy, monkeypatch):
    job = new_folder(toy_recipe(toy))
    worker = Worker(job)
    worker.begin()

    def no_room(job: Job):
        fill(small_disk, 0)
        with (job.folder / "more").open("wb") as file:
            file.write(b"\0" * 100_000)
            os.fsync(file.fileno())

    monkeypatch.setattr(worker_main, "check_again", no_room)
    worker_main._work(worker)
    assert job.result["status"] == "failed"
    assert job.result["why"].startswith("The disk is full")
    assert job.events[-1]["event"] == "ended"
    assert home.home().is_relative_to(small_disk)


@pytest.mark.parametrize("request_stop", [launcher.stop, launcher.discard])
def test_a_training_that_has_filled_the_disk_can_be_stopped(small_disk, monkeypatch, request_stop):
    monkeypatch.setattr(launcher, "_detached", lambda module, folder: None)  # no deadline
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    job = new_folder(toy_recipe(small_disk / "model"))
    process.write(job.files.process, process.born(sleeper.pid))
    Worker(job).begin()
    Worker(job).phase("running")
    with job.files.events.open("ab") as file:  # to the end of its page: the next line needs another one
        file.write(b" " * (-job.files.events.stat().st_size % os.sysconf("SC_PAGE_SIZE") - 1) + b"\n")
    fill(small_disk, 0)
    request_stop(job)
    assert sleeper.wait(10) < 0
    assert job.stop_asked
