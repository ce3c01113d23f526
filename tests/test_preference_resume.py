"""A training on pairs that goes on from an earlier adapter comes back on an empty machine, where that adapter is not."""

import shutil
from pathlib import Path

import pytest

from core import home
from core.files import write_whole
from core.hub import manifest, restore
from core.jobs.folder import Job
from core.jobs.preflight import check_again
from core.jobs.worker import Worker
from core.recipe import Recipe
from tests.local_hub import local_hub
from tests.on_the_hub import speak_to
from tests.test_restore import asked_to_restore
from tests.toy_backup import TOKEN, begin_backup
from tests.toy_pair_runs import pairs_recipe, write_pairs
from tests.toy_training import adapter_bytes, curve, new_folder, resume, train

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("one_thread")]
FIRST, RUN = "20260101-000000-first", "20260101-000001-preferred"
REFERENCE = "reference.safetensors"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with local_hub(tmp_path / "hub") as found:
        speak_to(found, tmp_path / "hf", TOKEN, monkeypatch)
        yield found


def recipe_of(toy: Path) -> Recipe:
    return pairs_recipe(toy, "dpo", start={"start_from": FIRST}, training={"max_steps": 10})


def backed_up_in(job: Job, repository: str | None, before: str | None = None) -> Job:
    text = job.files.recipe.read_text()
    lines = [f"hub_backup: {name or 'null'}" for name in (before, repository)]
    assert lines[0] in text
    write_whole(job.files.recipe, text.replace(*lines))
    return Job(job.folder)


def test_it_goes_on_exactly_where_what_it_is_held_near_is_not(hub, toy, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "first"))
    write_pairs(24)
    train(new_folder(pairs_recipe(toy, "sft", training={"max_steps": 4}), FIRST))
    shutil.copytree(tmp_path / "first", tmp_path / "undisturbed")
    job = backed_up_in(train(new_folder(recipe_of(toy), RUN), stop_at=6), "ann/preferred")
    assert begin_backup(job).wait(60) == 0
    held = manifest.read((hub.root / "models/ann/preferred" / manifest.NAME).read_bytes(), "ann/preferred")
    assert f"run/checkpoints/step-000007/{REFERENCE}" in held.files
    assert not any(path.startswith("run/adapter/") and path.endswith(REFERENCE) for path in held.files)

    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "undisturbed"))
    expected = train(new_folder(recipe_of(toy), RUN))
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "second"))
    restore.run(Worker(asked_to_restore("ann/preferred")))
    again = backed_up_in(Job(home.job_folder(RUN)), None, "ann/preferred")
    assert not home.job_folder(FIRST).exists()
    check_again(again)
    resume(again)
    assert curve(again) == curve(expected)
    assert list(again.metrics["preferred"]) == list(expected.metrics["preferred"])
    assert adapter_bytes(again) == adapter_bytes(expected)
    assert not list(again.files.adapter.rglob(REFERENCE))
