"""Restoring: only what is whole and belongs to a run comes back, and nothing that is here is touched."""

import errno
import json
import os
import re
import shutil
import time
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from core import home
from core.data.sources import open_source
from core.errors import HubError, JobError, RecipeError
from core.files import append_line, write_whole
from core.hub import manifest, placed_data, restore, restore_asked
from core.hub.contents import piece_of
from core.hub.manifest import CarriedData, FileFacts, may_stand
from core.hub.portable_recipe import portable
from core.hub.restore_asked import Restore
from core.jobs import launcher
from core.jobs.asked import beside
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.preflight import check_backup
from core.jobs.status import Status
from core.jobs.worker import StopRequested, Worker
from core.recipe import parse
from studio.new_run import continued
from tests.local_hub import local_hub
from tests.on_the_hub import speak_to
from tests.toy_backup import FAQ, TOKEN, begin_backup, copied, recipe_of, upload, use
from tests.toy_model import make_toy_model
from tests.toy_training import new_folder, train

process_test = pytest.mark.process
JOB = "20260101-000000-toy"
COMMIT = "a1" * 20
OWN_CODE = f"name: toy\nmodel: {{source: ann/own, trust_remote_code: true, revision: {COMMIT}}}\n".encode()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with local_hub(tmp_path_factory.mktemp("hub")) as found:
        yield found


@pytest.fixture(scope="module")
def backup(hub, tmp_path_factory):
    """A folder of the Hub that holds the backup of a stopped run; tests copy it to a name of their own."""
    folder = tmp_path_factory.mktemp("trained")
    model = make_toy_model(tmp_path_factory.mktemp("model") / "toy")
    with pytest.MonkeyPatch.context() as patch:
        use(hub.environment(folder / "hf", TOKEN), patch)
        patch.setenv("STUDIO_HOME", str(folder / "here"))
        upload()
        job = train(new_folder(recipe_of(model, "ann/none", checkpoints={"hub_backup": None}), JOB), stop_at=6)
        shutil.move(folder / "here", folder / "kept")
        job = copied(folder / "kept", "ann/kept")
        assert begin_backup(job).wait(60) == 0
        assert job.result["status"] == "stopped"
    return hub.root / "models" / "ann" / "kept"


@pytest.fixture
def signed_in(hub, tmp_path, monkeypatch):
    use(hub.environment(tmp_path / "hf", TOKEN), monkeypatch)


def offered(backup: Path, name: str, change=lambda folder: None) -> str:
    """The same backup under another name, changed as somebody might."""
    folder = backup.with_name(name)
    shutil.copytree(backup, folder)
    shutil.rmtree(folder / ".commits", ignore_errors=True)
    change(folder)
    return f"ann/{name}"


def lie(**facts):
    """Say something else in the manifest."""

    def change(folder: Path) -> None:
        file = folder / manifest.NAME
        write_whole(file, json.dumps(json.loads(file.read_text()) | facts))

    return change


def list_too(path: str, contents: bytes = b"x"):
    """List one file more, which is there."""

    def change(folder: Path) -> None:
        listed = json.loads((folder / manifest.NAME).read_text())["files"]
        target = folder / path
        if target.resolve().is_relative_to(folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents)
        lie(files=listed | {path: piece_of(contents).facts.model_dump()})(folder)

    return change


def spoil(folder: Path) -> None:
    file = next((folder / "run" / "checkpoints").rglob("optimizer.pt"))
    data = file.read_bytes()
    file.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


def restored(repository: str, resume: bool = False) -> Job:
    """The restore job, over."""
    job = restore_asked.start(repository, resume)
    launcher.wait(job, 60)
    return job


def own_code(folder: Path) -> None:
    """A model that brings its own code, at one commit."""
    resolved_code(folder, COMMIT)


def another_code(folder: Path) -> None:
    """One commit to read, and another to run."""
    resolved_code(folder, "b2" * 20)


def resolved_code(folder: Path, commit: str) -> None:
    list_too("run/recipe.yaml", OWN_CODE)(folder)
    list_too("run/resolved.yaml", f"model: {{source: ann/own, revision: {commit}}}".encode())(folder)


REFUSED = {
    "spoilt": (spoil, "is not what was backed up there. Nothing was restored"),
    "leaves": (list_too("run/../../../evil.json"), "cannot be trusted as a backup.*which no run has"),
    "process": (list_too("run/process.json", b'{"pid": 2}'), "cannot be trusted as a backup.*process.json"),
    "pickle": (list_too("run/checkpoints/step-000004/pytorch_model.bin"), "cannot be trusted.*pytorch_model.bin"),
    "program": (list_too("run/adapter/modeling.py"), "cannot be trusted.*modeling.py"),
    "elsewhere": (lie(job="../../elsewhere"), "cannot be trusted as a backup: in its backup.json job"),
    "recipe": (list_too("run/recipe.yaml", b"name: [1]"), "The recipe in ann/recipe cannot be used here"),
    "twocodes": (
        another_code,
        "cannot be trusted as a backup: it names two commits of ann/own, whose code runs",
    ),
    "none": (lambda folder: (folder / manifest.NAME).unlink(), "is not the backup of a run"),
    "nonsense": (lambda folder: (folder / manifest.NAME).write_text("{"), "cannot be trusted as a backup"),
}


@process_test
def test_what_cannot_be_trusted_is_refused_in_a_sentence_and_leaves_nothing(backup, signed_in, tmp_path):
    begun = {name: restore_asked.start(offered(backup, name, change)) for name, (change, _) in REFUSED.items()}
    for name, job in begun.items():
        launcher.wait(job, 60)
        assert job.result["status"] == "failed", name
        assert_said(REFUSED[name][1], job.result["why"])
    assert {job.kind for job in all_jobs()} == {"restore"}
    assert not home.uploads_folder().exists()
    assert not list(tmp_path.rglob("evil.json"))
    assert not any(job.files.scratch.exists() for job in all_jobs())


def assert_said(pattern: str, sentence: str) -> None:
    with pytest.raises(HubError, match=pattern):
        raise HubError(sentence)


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_of_data_that_a_full_disk_cuts_short_nothing_stays(tmp_path, monkeypatch, folder):
    files = [tmp_path / name for name in ("a.csv", "b.csv")][: 1 + folder]
    for file in files:
        file.write_text(FAQ)
    one = CarriedData(source="uploads/faq" if folder else "uploads/faq.csv", folder=folder, files=["x"])

    def full(source, target):
        shutil.copyfile(source, target)
        if source == files[-1]:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(shutil, "copy2", full)
        placed_data._place(one, files)
    assert list(home.uploads_folder().iterdir()) == []
    assert placed_data._place(one, files) == one.source
    assert [path.read_text() for path in home.uploads_folder().rglob("*.csv")] == [FAQ] * len(files)


@process_test
def test_a_run_comes_back_beside_other_data_of_the_same_name(backup, signed_in):
    upload("question,answer\nmine,mine\n")
    job = restored(offered(backup, "beside"))
    assert job.result["status"] == "finished", job.result
    assert "toy is back, at step 7. Resume goes on from there." in job.result["why"]
    assert (home.uploads_folder() / "faq.csv").read_text() == "question,answer\nmine,mine\n"
    run = Job(home.job_folder(JOB))
    (source,) = run.recipe.data.sources
    assert source.source.startswith("uploads/faq-")
    assert (home.home() / source.source).read_text() == FAQ
    assert run.status is Status.STOPPED
    # The restore is no part of its work, whenever it comes.
    run.files.result.unlink()
    worked_s = run.duration_s
    append_line(run.files.events, {"time": time.time() + 9999, "event": "restored"})
    assert run.duration_s == worked_s
    assert run.recipe.checkpoints.hub_backup == "ann/kept"
    assert [checkpoint.step for checkpoint in run.checkpoints] == [4, 7]
    assert all(checkpoint.damage(hashes=True) is None for checkpoint in run.checkpoints)
    # The rows are known by their contents, whatever the file is called.
    known = run.resolved["data"][0]["fingerprint"]
    assert open_source(source).fingerprint == known
    again = restored("ann/beside")
    assert_said(f"is here already: toy, interrupted. Its id is {JOB}", again.result["why"])


@process_test
def test_a_backup_does_not_let_a_models_own_code_run_by_itself(backup, signed_in):
    job = restored(offered(backup, "code", own_code), resume=True)
    assert_said("toy is back, at step 7. ann/own runs code of its own: resume it if you trust that", job.result["why"])
    assert Job(home.job_folder(JOB)).status is Status.STOPPED


@process_test
def test_troubles_of_the_hub_only_take_longer(hub, backup, signed_in, monkeypatch, tmp_path):
    troubles = {
        "away": ("/api/models/ann/away", {"status": 503, "times": 2}),
        "asked": ("/ann/asked/resolve/", {"status": 429, "times": 1}),
        "torn": ("/ann/torn/resolve/", {"cut_after": 3000, "times": 3}),
        "still": ("/ann/still/resolve/", {"delay_s": 2, "times": 1}),
    }
    homes = {name: tmp_path / name for name in troubles}
    with ExitStack() as all_of_them:
        met = [all_of_them.enter_context(hub.trouble(where=where, **how)) for where, how in troubles.values()]
        begun = {}
        for name, folder in homes.items():
            monkeypatch.setenv("STUDIO_HOME", str(folder))
            begun[name] = restore_asked.start(offered(backup, name), resume=False)
        for name, job in begun.items():
            launcher.wait(job, 60)
            assert job.result["status"] == "finished", (name, job.result)
        assert [trouble.times for trouble in met] == [0] * len(met)
    for folder in homes.values():
        assert Job(folder / "jobs" / JOB).checkpoints[-1].damage(hashes=True) is None


@process_test
@pytest.mark.parametrize(
    ("token", "said"),
    [("hf_nobody", "does not accept the token"), ("hf_bob", "The Hub has no repository ann/kept, or it is private")],
)
def test_a_refused_token_is_said(hub, backup, tmp_path, monkeypatch, token, said):
    use(hub.environment(tmp_path / "hf", token), monkeypatch)
    job = restored("ann/kept")
    assert_said(said, job.result["why"])
    assert token not in job.result["why"]


@process_test
def test_who_may_only_read_a_backup_goes_on_without_one(hub, backup, tmp_path, monkeypatch):
    use(hub.environment(tmp_path / "hf", "hf_ann_read"), monkeypatch)
    job = restored(offered(backup, "reader"))
    assert job.result["status"] == "finished", job.result
    assert Job(home.job_folder(JOB)).recipe.checkpoints.hub_backup is None
    assert_said("From here it is not backed up: you may not write to ann/kept", job.result["why"])


def test_a_backup_that_is_tidied_up_meanwhile_is_fetched_as_it_is_then(hub, backup, tmp_path, monkeypatch):
    speak_to(hub, tmp_path / "hf", TOKEN, monkeypatch)
    repository, fetch, looked = offered(backup, "tidied"), restore._fetch, []

    def fetch_late(worker, wanted, commit, *rest):
        looked.append(commit)
        if len(looked) == 1:
            HfApi().upload_file(path_or_fileobj=b"later", path_in_repo="README.md", repo_id=repository)
            HfApi().super_squash_history(repository)
        fetch(worker, wanted, commit, *rest)

    monkeypatch.setattr(restore, "_fetch", fetch_late)
    asked = Restore(repository=repository)
    worker = Worker(new_folder(parse({}), "20260102-000000-restore"))
    found = restore._fetched(worker, asked, tmp_path / "aside")
    assert found[0] == looked[1] != looked[0]
    assert (tmp_path / "aside" / "run" / "recipe.yaml").is_file()


def test_a_restore_that_was_cut_off_goes_on_with_what_it_had(hub, backup, tmp_path, monkeypatch):
    speak_to(hub, tmp_path / "hf", TOKEN, monkeypatch)
    monkeypatch.setattr(restore, "PAUSES_S", ())
    monkeypatch.setattr(restore, "FIRST_PAUSES_S", ())
    repository, largest = offered(backup, "cut"), "optimizer.pt"
    first, second = (asked_to_restore(repository) for _ in range(2))
    with hub.failing(503, where="/api/models/ann/cut"), pytest.raises(HubError) as away:
        restore.run(Worker(first))
    assert "kept" not in str(away.value)
    # One that the client itself does not ask again after: that takes half a minute.
    with hub.failing(409, where=largest), pytest.raises(HubError, match="What was fetched is kept: restore it again"):
        restore.run(Worker(first))
    first.files.result.write_text('{"status": "failed"}')
    for left, text in (("checkpoints/step-000002/old.json", "{}"), ("recipe.yaml", "name: [")):
        write_whole(first.files.scratch / "backup" / "run" / left, text)
    hollow(first.files.scratch / "backup" / "data" / "0" / "faq.csv")
    with hub.failing(401, where="/api/models/ann/cut"), pytest.raises(HubError, match="Sign in again"):
        restore.run(Worker(second))
    with monkeypatch.context() as full, pytest.raises(HubError, match="Make space first"):
        full.setattr(restore, "SPARE_BYTES", 10**15)
        restore.run(Worker(second))
    before = len(hub.requests)
    restore.run(Worker(second))
    run = Job(home.job_folder(JOB))
    assert run.checkpoints[-1].damage(hashes=True) is None and run.broken_checkpoints == []
    assert not (run.files.checkpoints / "step-000002").exists()
    fetched = {path.rpartition("/")[2] for path in hub.requests[before:] if path.startswith("GET") and "/run/" in path}
    assert {largest, "recipe.yaml"} <= fetched and not fetched & {"events.jsonl", "trainer_state.json"}
    assert not first.files.scratch.exists() or not list(first.files.scratch.iterdir())


FILES = ("run/recipe.yaml", "run/resolved.yaml")
WITHDRAWN = HubError("The Hub does not accept the token.")
ENDS = {
    "refused": (HubError("The Hub does not let this token read ann/refused."), None),
    "withdrawn": (WITHDRAWN, WITHDRAWN),
    "full": (OSError(errno.ENOSPC, "No space left on device", "optimizer.pt"), None),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_was_fetched_stays_where_the_rest_is_refused_or_does_not_fit(name, monkeypatch):
    """As the Hub and the system say it: while the files come, and when it is then asked for the newest commit."""
    of_file, of_commit = ENDS[name]
    job, asked_before = asked_to_restore(f"ann/{name}"), []

    def found(repository):
        if asked_before and of_commit:
            raise of_commit
        asked_before.append(repository)
        files = {path: FileFacts(size_bytes=1, sha256=sha256(b"x").hexdigest()) for path in FILES}
        return COMMIT, manifest.Manifest(job=JOB, name="toy", writer="w1", files=files)

    def one(repository, path, revision, local_dir):
        if path == FILES[-1]:
            raise of_file
        write_whole(local_dir / path, "x")
        return local_dir / path

    monkeypatch.setattr(restore, "_found", found)
    monkeypatch.setattr(restore, "hf_hub_download", one)
    said = "The disk is full: optimizer.pt" if name == "full" else str(of_file)
    with pytest.raises(HubError, match=rf"{re.escape(said)}.*What was fetched is kept: restore it again"):
        restore.run(Worker(job))
    assert (job.files.fetched / "run" / "recipe.yaml").read_text() == "x"


def hollow(file: Path) -> None:
    """As a power cut leaves a file: as large and as old as it was, and empty."""
    was = file.stat()
    file.write_bytes(b"\0" * was.st_size)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_was_fetched_goes_when_a_person_stops_it_and_stays_when_the_machine_shuts_down(by_hand, monkeypatch):
    def stopped(worker, wanted, aside):
        write_whole(aside / "run" / "recipe.yaml", "name: toy")
        if by_hand:
            append_line(worker.files.events, {"time": 2.0, "event": "stop_requested"})
        raise StopRequested

    monkeypatch.setattr(restore, "_fetched", stopped)
    job = asked_to_restore("ann/any")
    with pytest.raises(StopRequested):
        restore.run(Worker(job))
    assert job.files.scratch.exists() is not by_hand


def asked_to_restore(repository: str) -> Job:
    """A restore job whose process is this one."""
    asked = Restore(repository=repository, resume=False)
    home.jobs_folder().mkdir(parents=True, exist_ok=True)
    return launcher._new_folder(parse({"name": "restore"}), "restore", beside("restore", asked))


def test_another_run_from_the_same_recipe_does_not_write_its_backup():
    recipe = parse({"checkpoints": {"hub_backup": "ann/toy"}})
    job = new_folder(recipe)
    assert continued(job).checkpoints.hub_backup is None
    assert "ann/toy" not in portable(job)
    with pytest.raises(RecipeError, match=r"checkpoints\.hub_backup: 'toy' does not fit: it has the form owner/name"):
        parse({"checkpoints": {"hub_backup": "toy"}})


def test_a_repository_that_backs_up_a_run_of_this_machine_is_refused_before_another_waits_for_its_turn():
    job = new_folder(parse({"checkpoints": {"hub_backup": "ann/toy"}}))
    job.files.result.write_text('{"status": "failed", "why": ""}')
    check_backup(job.recipe)  # it ended before the repository was its own
    append_line(job.files.events, {"time": 2.0, "event": "backup_claimed", "writer": "w1"})
    with pytest.raises(JobError, match="ann/toy is for the backup of 20260101-000000-toy"):
        launcher.start(job.recipe)
    assert all_jobs() == [job]
    check_backup(parse({"checkpoints": {"hub_backup": "ann/other"}}))
    check_backup(parse({}))


def test_a_name_that_is_no_repository_is_refused_at_once():
    with pytest.raises(HubError, match="repository: 'toy' does not fit: it has the form owner/name"):
        restore_asked.start("toy")


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("run/recipe.yaml", True),
        ("run/checkpoints/step-000004/optimizer.pt", True),
        ("run/checkpoints/step-000004/rng_state_1.pth", True),
        ("run/model/model-00001-of-00002.safetensors", True),
        ("data/0/faq.csv", True),
        ("recipe.yaml", False),
        ("run/process.json", False),
        ("run/.lock", False),
        ("run/checkpoints/manifest.json", False),
        ("run/checkpoints/step-000004/sub/a.json", False),
        ("run/adapter/additional_chat_templates/tool_use.jinja", True),
        ("run/checkpoints/step-../a.json", False),
        ("run/adapter/adapter_model.bin", False),
        ("run/adapter/x.pkl", False),
        ("data/faq.csv", False),
        ("data/0/.env", False),
        ("data/../run/a.json", False),
        ("/etc/passwd", False),
        ("run\\recipe.yaml", False),
        ("", False),
    ],
)
def test_what_may_stand_in_a_backup(path, may):
    assert may_stand(path) is may
