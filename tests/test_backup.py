"""The backup of a run: whole or not there, caught up after any trouble, and restored as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import torch
from filelock import FileLock
from huggingface_hub import HfApi

from core import follow, home
from core.errors import HubError
from core.files import append_line, write_whole
from core.hub import backing, carried, manifest
from core.hub.backup_state import backup_of
from core.hub.claim import claimed
from core.hub.contents import held, piece_of
from core.hub.manifest import Manifest
from core.hub.repository import Repository
from core.jobs import launcher, process
from core.jobs.folder import Job
from core.jobs.status import Status
from core.jobs.tail import lines_of
from core.jobs.worker import Worker
from core.training.checkpoints import remove
from tests.local_hub import NO_HUB, client_environment, local_hub
from tests.local_hub_repository import changing
from tests.on_the_hub import speak_to
from tests.toy_backup import SHORT, TOKEN, begin_backup, copied, events, recipe_of, upload, use, wait_for
from tests.toy_training import adapter_bytes, curve, new_folder, train

process_test = pytest.mark.process


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with local_hub(tmp_path_factory.mktemp("hub")) as found:
        yield found


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """The folder of a home with a finished run on uploaded data; tests copy it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(folder))
        upload()
        train(new_folder(recipe_of(toy, "ann/none", checkpoints={"hub_backup": None})))
    return folder


@pytest.fixture
def signed_in(hub, tmp_path, monkeypatch):
    """This process, and those it starts, speak to the tests' Hub as ann."""
    use(hub.environment(tmp_path / "hf", TOKEN), monkeypatch)


def held_on(hub, repository: str) -> Manifest:
    """The manifest of a backup on the Hub; every file it lists is there, and no other."""
    folder = hub.root / "models" / repository
    with changing:  # a commit is brought into the folder file by file
        found = manifest.read((folder / manifest.NAME).read_bytes(), repository)
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {path for path in there if path.startswith(("run/", "data/"))} == set(found.files)
    for path, facts in found.files.items():
        assert (folder / path).stat().st_size == facts.size_bytes
    return found


def files_with_the_token(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


# --- the whole way -----------------------------------------------------------------------------------------------------


@process_test
def test_a_run_whose_machine_vanished_is_restored_and_comes_to_the_same_end(hub, toy, tmp_path, monkeypatch, signed_in):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    upload()
    settings = {"training": {"max_steps": 40, "eval_every": 10}}
    alone = recipe_of(toy, "ann/none", checkpoints={"hub_backup": None}, **settings)
    expected = train(new_folder(alone, "20260101-000001-whole"))
    torch.set_num_threads(threads)

    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "first"))
    upload()
    job = launcher.start(recipe_of(toy, "ann/vanished", **settings))
    wait_for(lambda: job.checkpoints)
    # Or it might be through before its backup, which gives way to everything else, has had its turn.
    job.worker.signal(signal.SIGSTOP)
    wait_for(lambda: events(job, "backed_up"))
    family = [psutil.Process(job.worker.pid), *psutil.Process(job.worker.pid).children(recursive=True)]
    assert any("core.hub.backup" in one.cmdline() and one.nice() == 19 for one in family)
    assert not any(TOKEN in word for one in family for word in one.cmdline())
    os.killpg(job.worker.pid, signal.SIGKILL)
    assert job.result is None
    assert files_with_the_token(tmp_path / "first") == []
    safe = held_on(hub, "ann/vanished").step
    assert 4 <= safe < 40
    shutil.rmtree(tmp_path / "first")

    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "second"))
    done = subprocess.run(
        [sys.executable, "-m", "core", "restore", "ann/vanished"], cwd=home.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    again = Job(home.job_folder(job.id))
    assert again.result["status"] == "finished"
    assert "Step 40 is safe on the Hub in ann/vanished." in again.result["why"]
    assert [event["step"] for event in events(again, "resumed")] == [safe]
    assert curve(again) == curve(expected)
    assert adapter_bytes(again) == adapter_bytes(expected)
    reported = [row for row in lines_of(again.files.metrics) if "loss" in row]
    resumed_at = next(n for n, row in enumerate(lines_of(again.files.metrics)) if row.get("resumed_from") == safe)
    executed = [row["step"] for row in lines_of(again.files.metrics)[resumed_at:] if "loss" in row]
    assert executed == list(range(safe + 1, 41))
    assert len(reported) < 80
    wait_for(lambda: "run/result.json" in held_on(hub, "ann/vanished").files)
    found = held_on(hub, "ann/vanished")
    assert (found.steps, found.has_result) == ([36, 40], True)
    # What was pruned is in no older commit either.
    wait_for(lambda: len(hub.commits("models/ann/vanished")) == 1)
    assert files_with_the_token(tmp_path) == []


# --- the end waits ------------------------------------------------------------------------------------------------------


@process_test
def test_a_stop_waits_for_the_last_checkpoint_visibly_and_a_second_one_ends_the_wait(hub, toy, monkeypatch, signed_in):
    monkeypatch.setenv("STUDIO_STOP_DEADLINE_S", "1")
    upload()
    job = launcher.start(recipe_of(toy, "ann/waits", training={"max_steps": 100_000}))
    wait_for(lambda: events(job, "backup_claimed"))
    with hub.trouble(where="/api/models/ann/waits/commit", status=403):
        wait_for(lambda: events(job, "backup_failed"))
        assert job.status is Status.RUNNING
        assert "does not let this token change ann/waits" in backup_of(job).trouble
        launcher.stop(job)
        assert launcher.wait(job, 60) is Status.STOPPED
        # What lasts is not waited for.
        assert "is not backed up in ann/waits: nothing of it is there. The Hub does not let" in job.result["why"]
    step = job.checkpoints[-1].step
    launcher.resume(job)
    wait_for(lambda: events(job, "phase")[-1]["phase"] == "running")
    with hub.trouble(where="/api/models/ann/waits/commit", delay_s=600) as silence:
        wait_for(lambda: silence.times or job.metrics.step > step + 8)
        launcher.stop(job)
        wait_for(lambda: job.newest_event("waiting_for_backup"))
        time.sleep(1.5)  # longer than a stop may take that is not obeyed
        assert job.status is Status.STOPPING
        assert follow.now(job)[0] == "backing up to the Hub"
        assert job.progress["what"] == "Backing up to the Hub"
        launcher.stop(job)
        assert launcher.wait(job, 10) is Status.STOPPED
    assert "Ended at once." in job.result["why"]
    assert job.final is not None
    assert job.checkpoints[-1].damage(hashes=True) is None


def test_a_stop_that_comes_while_the_end_waits_ends_the_waiting(toy):
    job = new_folder(recipe_of(toy, "ann/none"))
    job.files.adapter.mkdir()
    append_line(
        job.files.events,
        {"time": time.time(), "event": "backup_failed", "text": "The Hub is away.", "since": time.time()},
    )
    answers = iter([False, False, True])
    assert backing.wait(Worker(job), lambda: next(answers)) == (
        "Its result is not backed up in ann/none: nothing of it is there. The Hub is away."
    )
    assert backing.wait(Worker(new_folder(recipe_of(toy, None), "20260101-000001-toy")), lambda: False) == ""


# --- what goes wrong between a run and the Hub ------------------------------------------------------------------------


@process_test
def test_a_large_file_that_is_cut_goes_up_again(hub, trained, signed_in):
    job = copied(trained, "ann/cutfile")
    optimizer = held_facts(job, 12)["optimizer.pt"]["sha256"]
    with hub.trouble(where=f"/large-files/{optimizer}", cut_after=10_000, times=2) as trouble:
        assert begin_backup(job).wait(60) == 0
        assert trouble.times == 0
    whole_in_the_end(hub, "cutfile", job)


# Where, and what: the path of each begins with the name of its repository.
TROUBLES = {
    "errors": ("/api/models/ann/errors/commit/", {"status": 500, "times": 2}),
    "busy": ("/ann/busy.git/info/lfs/", {"status": 429, "times": 1}),
    "conflict": ("/api/models/ann/conflict/commit/", {"status": 409, "times": 1}),
    "silence": ("/api/models/ann/silence/commit/", {"delay_s": 2, "times": 1}),
    "cut": ("/api/models/ann/cut/commit/", {"cut_after": 2000, "times": 2}),
    "refused": ("/api/models/ann/refused/preupload/", {"status": 403, "times": 1}),
    "stranger": ("/api/models/ann/stranger/preupload/", {"status": 401, "times": 1}),
}


@process_test
def test_every_trouble_ends_in_a_whole_backup(hub, trained, tmp_path, monkeypatch, signed_in):
    with ExitStack() as troubles:
        met = {name: troubles.enter_context(hub.trouble(where=where, **how)) for name, (where, how) in TROUBLES.items()}
        running = {}
        for name in TROUBLES:
            monkeypatch.setenv("STUDIO_HOME", str(tmp_path / name))
            job = copied(trained, f"ann/{name}")
            running[name] = job, begin_backup(job)
        for name, (_, process) in running.items():
            assert process.wait(60) == 0, name
            assert met[name].times == 0, f"{name} was not met"
    for name, (job, _) in running.items():
        whole_in_the_end(hub, name, job)


def held_facts(job: Job, step: int) -> dict:
    return job.checkpoint_of(step).manifest["files"]


def whole_in_the_end(hub, name: str, job: Job) -> None:
    """All of it is on the Hub, the job is as it was, and a person was told at most once."""
    found = held_on(hub, f"ann/{name}")
    assert (found.steps, found.has_result, found.status) == ([8, 12], True, "finished"), name
    assert [event["step"] for event in events(job, "backed_up")][-1] == 12
    assert sum("training goes on" in event["text"] for event in events(job, "warning")) <= 1, name
    assert job.result["status"] == "finished"
    assert files_with_the_token(job.folder) == []


CLAIMS = {
    "read only": ("hf_ann_read", "ann/readonly", "does not let this token change ann/readonly"),
    "not a member": ("hf_bob", "ann/bob", "does not let this token change ann/bob"),
    "nobody": ("hf_nobody", "ann/nobody", "The Hub does not accept the token"),
    "signed out": (None, "ann/none", "nobody is signed in to the Hub, so ann/none cannot be written"),
    "another run": (TOKEN, "ann/other", "ann/other holds the backup of another run, 20260101-000000-other"),
    "public": (TOKEN, "ann/public", "ann/public is public, and a backup holds your data"),
    "something else": (TOKEN, "ann/model", "ann/model holds something else"),
}


@process_test
def test_what_cannot_be_written_is_said_before_the_training(hub, toy, tmp_path, monkeypatch):
    others = Manifest(job="20260101-000000-other", name="other", writer="w", files={})
    for name, contents in {"other": others.model_dump_json(), "model": None}.items():
        folder = hub.repository(f"models/ann/{name}")
        (folder / ".private").touch()
        (folder / (manifest.NAME if contents else "model.safetensors")).write_text(contents or "weights")
    (hub.repository("models/ann/public") / "README.md").write_text("")
    running = {}
    for number, (token, repository, _) in enumerate(CLAIMS.values()):
        job = new_folder(recipe_of(toy, repository), f"20260101-00000{number}-toy")
        upload()
        environment = hub.environment(tmp_path / f"hf{number}", token) | SHORT
        running[repository] = (
            job,
            subprocess.Popen([sys.executable, "-m", "core.jobs", str(job.folder)], env=environment, cwd=home.ROOT),
        )
    for _, repository, said in CLAIMS.values():
        job, worker = running[repository]
        assert worker.wait(60) == 1, repository
        assert said in job.result["why"]
        assert "\n" not in job.result["why"]
        assert job.phase is None


@process_test
def test_a_hub_that_is_away_keeps_no_training_from_beginning(toy, tmp_path):
    job = new_folder(recipe_of(toy, "ann/away"))
    code = (
        "import sys; from pathlib import Path; from core.hub import backing; from core.jobs.folder import Job; "
        "from core.jobs.worker import Worker; backing.claim(Worker(Job(Path(sys.argv[1]))))"
    )
    environment = client_environment(NO_HUB, tmp_path / "hf", TOKEN) | SHORT
    subprocess.run([sys.executable, "-c", code, str(job.folder)], env=environment, cwd=home.ROOT, check=True)
    (warning,) = events(job, "warning")
    assert "cannot be reached" in warning["text"]
    assert "The training begins without it" in warning["text"]
    asking, over = events(job, "progress")
    assert asking["what"] == "Asking the Hub whether the backup ann/away can be written"
    assert asking["time"] < warning["time"] < over["time"]


@process_test
def test_the_backup_outlives_a_killed_worker_and_gives_way_to_the_next(hub, trained, signed_in):
    job = copied(trained, "ann/outlives")
    job.files.result.unlink()
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process.write(job.files.process, process.born(sleeper.pid))
    append_line(job.files.events, {"time": time.time(), "event": "phase", "phase": "running"})
    first = begin_backup(job)
    wait_for(lambda: [e["step"] for e in events(job, "backed_up")] == [12])
    shutil.rmtree(job.files.checkpoint(8))
    with hub.trouble(where="/preupload/", delay_s=0.5):
        shutil.copytree(job.files.checkpoint(12), job.files.checkpoint(16))
        renumber(job.files.checkpoint(16), 16)
        wait_for(lambda: events(job, "backing_up")[-1]["step"] == 16)
        sleeper.kill()
        sleeper.wait()
        assert first.wait(60) == 0
    assert job.status is Status.INTERRUPTED
    found = held_on(hub, "ann/outlives")
    assert (found.steps, found.status, found.writer) == ([12, 16], "interrupted", "w1")
    # A worker elsewhere takes over; what is left of this one does not touch it.
    late = begin_backup(job, "w2")
    assert late.wait(60) == 0
    assert held_on(hub, "ann/outlives").writer == "w2"
    append_line(
        job.files.events, {"time": time.time(), "event": "backup", "repository": "ann/outlives", "writer": "w1"}
    )
    append_line(job.files.events, {"time": time.time(), "event": "backup_claimed", "writer": "w1"})
    before = hub.commits("models/ann/outlives")
    assert subprocess.run([sys.executable, "-m", "core.hub.backup", job.folder], cwd=home.ROOT).returncode == 0
    assert hub.commits("models/ann/outlives") == before
    assert "restored elsewhere" in events(job, "warning")[-1]["text"]


def test_what_another_machine_has_trained_is_not_written_over(hub, trained, tmp_path, monkeypatch):
    speak_to(hub, tmp_path / "hf", TOKEN, monkeypatch)
    job = copied(trained, "ann/further")
    folder = hub.repository("models/ann/further")
    (folder / ".private").touch()
    there = {"run/checkpoints/step-000016/manifest.json": piece_of(b"{}").facts}
    found = Manifest(job=job.id, name="toy", writer="elsewhere", files=there)
    (folder / manifest.NAME).write_text(found.model_dump_json())
    mine = Repository("ann/further", "w2")
    with pytest.raises(HubError, match=r"holds step 16 of this run, which was trained on another machine; here .* 12"):
        mine.claim(job)
    # What an earlier worker of this very folder has trained may be gone back behind.
    append_line(job.files.events, {"time": time.time(), "event": "backup", "writer": "elsewhere"})
    assert mine.claim(job).manifest.writer == "w2"


def test_a_repository_that_was_deleted_and_made_anew_is_claimed_again(hub, trained, tmp_path, monkeypatch):
    speak_to(hub, tmp_path / "hf", TOKEN, monkeypatch)
    job, mine = copied(trained, "ann/anew"), Repository("ann/anew", "w1")
    claimed(job, mine)
    HfApi().delete_repo("ann/anew")
    HfApi().create_repo("ann/anew", private=True)
    assert claimed(job, mine).manifest.writer == "w1"
    assert list(held_on(hub, "ann/anew").files) == ["run/recipe.yaml"]


def test_a_checkpoint_without_room_beside_it_is_a_trouble_that_is_said(trained):
    job = copied(trained, "ann/full")
    write_whole(job.files.backup_aside, "in the way, as a full disk is")
    with pytest.raises(HubError, match=r"step 12 cannot be backed up: .* cannot be written\. Make space"):
        held(job, job.checkpoints[-1])
    gone = job.checkpoints[-1]
    remove(gone.folder)
    assert held(job, gone) is None


def renumber(checkpoint: Path, step: int) -> None:
    values = json.loads(home.manifest_file(checkpoint).read_text()) | {"step": step}
    home.manifest_file(checkpoint).write_text(json.dumps(values))


@process_test
def test_data_that_is_too_large_stays_and_is_named(trained, monkeypatch):
    job = copied(trained, "ann/large")
    (one,), (model,) = carried.carried(job)
    assert (one.source, list(one.files)) == ("uploads/faq.csv", ["data/0/faq.csv"])
    assert "toy does not go along with the backup: a base model does not. To restore" in model
    monkeypatch.setattr(carried, "MOST_BYTES", 100)
    assert carried.carried(job)[1][1:] == [
        "uploads/faq.csv does not go along with the backup: of data files, up to 0 MB do. To restore the run elsewhere, bring "
        "it there yourself."
    ]
    monkeypatch.undo()
    upload("question,answer\nother,other\n")
    assert carried.carried(job)[0] == []
    assert "it was changed since the run began" in carried.carried(job)[1][1]


@process_test
def test_a_checkpoint_that_is_not_what_was_written_does_not_go_up_and_costs_no_other(hub, trained, signed_in):
    job = copied(trained, "ann/harmed")
    file = job.files.checkpoint(12) / "optimizer.pt"
    data = file.read_bytes()
    file.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    assert begin_backup(job).wait(60) == 0
    assert held_on(hub, "ann/harmed").steps == [8]
    assert "optimizer.pt is not what was written" in "".join(event["text"] for event in events(job, "warning"))
    # And whoever waits at the end is not kept waiting for it, though its backup lives.
    job.files.result.unlink()
    with FileLock(job.files.backup_lock):
        assert backing.wait(Worker(job), lambda: False) == "Step 12 is not backed up in ann/harmed: step 8 is there."
