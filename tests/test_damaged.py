"""Broken and hand-edited files: the job they belong to is shown for what it is, and every other job works."""

import json
import socket

import pytest

from core import follow, home
from core.errors import JobError
from core.jobs import ending, process
from core.jobs.about import LONGEST_NOTE, About, write_about
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.jobs.worker import Worker
from tests.garbage import FILES, GARBAGE
from tests.toy_training import new_folder, toy_recipe

pytestmark = pytest.mark.process


def job(name: str) -> Job:
    made = new_folder(toy_recipe("starter"), name)
    worker = Worker(made)
    worker.phase("running")
    worker.event("training", total_steps=10, device="CPU", precision="fp32")
    worker.metric(step=1, loss=2.0)
    worker.metric(step=1, held_out_loss=2.0)
    worker.finish("stopped", "Stopped after step 1.")
    return made


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_no_broken_file_hides_another_job(file, garbage):
    good = job("20260101-000000-good")
    bad = job(f"20260102-000000-bad-{file}")
    getattr(bad.files, file).write_bytes(garbage)
    assert [found.id for found in all_jobs("train")] == [bad.id, good.id]
    for found in all_jobs():
        json.dumps(follow.details(found))
        assert isinstance(ending.why(found), str)
        assert isinstance(found.status, Status)
    assert good.status is Status.STOPPED
    assert follow.summary(good)["loss"] == 2.0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "won"}', '{"status": null}'])
def test_a_result_that_no_worker_wrote_is_damage_and_says_which_file(text):
    bad = job("20260102-000000-bad")
    bad.files.result.write_text(text)
    assert bad.status is Status.DAMAGED
    assert "result.json is not what a worker writes" in ending.why(bad)
    assert not ending.can_resume(bad)


def test_a_checkpoint_that_somebody_touched_is_listed_with_the_reason():
    found = job("20260101-000000-run")
    wholes = {"a.bin": {"size_bytes": 3}}
    manifests = {
        "step-000001": {"step": 1, "files": wholes},
        "step-000002": {"step": 2, "files": {"a.bin": {"size_bytes": 4}}},
        "step-000003": {"step": 3, "files": {"b.bin": {"size_bytes": 3}}},
        "step-000004": {"step": 9, "files": wholes},
        "step-000005": {"step": 5, "files": [1]},
        "step-x": {"step": 6, "files": wholes},
        "step-000007": None,
    }
    for name, manifest in manifests.items():
        folder = found.files.checkpoints / name
        folder.mkdir(parents=True)
        (folder / "a.bin").write_bytes(b"abc")
        if manifest:
            home.manifest_file(folder).write_text(json.dumps(manifest))
    assert [checkpoint.step for checkpoint in found.checkpoints] == [1]
    reasons = {broken.step: broken.why for broken in found.broken_checkpoints}
    assert reasons == {
        0: "its manifest cannot be read",
        2: "a.bin has 3 bytes instead of 4",
        3: "b.bin is missing",
        4: "its manifest cannot be read",
        5: "its manifest cannot be read",
        7: "its manifest is missing, so it was never finished",
    }


def test_a_name_tags_and_a_note_are_kept_beside_the_recipe():
    found = job("20260101-000000-run")
    before = found.files.recipe.read_bytes()
    write_about(found.files.about, About("  Better name ", (" lr ", "", "lr", "keep"), "line\nline "))
    assert found.about == About("Better name", ("lr", "keep"), "line\nline")
    assert found.name == "Better name"
    assert found.files.recipe.read_bytes() == before
    for wrong in (About("x" * 61), About("a\nb"), About(tags=("t" * 31,)), About(note="n" * (LONGEST_NOTE + 1))):
        with pytest.raises(JobError, match="at most"):
            write_about(found.files.about, wrong)
    assert found.name == "Better name"


@pytest.mark.parametrize("pid", [1, 0, -1])
def test_a_process_file_that_names_no_worker_names_nobody_to_end(tmp_path, pid):
    file = tmp_path / "process.json"
    file.write_text(json.dumps({"pid": pid, "birth": 0.0, "host": socket.gethostname()}))
    assert process.read(file) is None
