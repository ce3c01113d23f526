"""Runs of the toy model on an uploaded file, to be backed up on the tests' Hub and restored from it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from core import home
from core.files import append_line, write_whole
from core.jobs.folder import Job
from core.recipe import Recipe, parse
from core.recipe_yaml import to_yaml
from tests.toy_training import toy_recipe

TOKEN = "hf_ann"
FAQ = "question,answer\n" + "".join(f"What is {n}?,The answer is {n}.\n" for n in range(24))
# The tests' Hub answers at once; where it is told not to, nobody waits long.
SHORT = {"HF_HUB_DOWNLOAD_TIMEOUT": "1", "STUDIO_HUB_TIMEOUT_S": "1", "OMP_NUM_THREADS": "1"}


def use(environment: dict[str, str], monkeypatch) -> None:
    for name in [name for name in os.environ if name not in environment]:
        monkeypatch.delenv(name)
    for name, value in (environment | SHORT).items():
        monkeypatch.setenv(name, value)


def recipe_of(toy: Path, repository: str | None, **more) -> Recipe:
    data = {"sources": [{"source": "uploads/faq.csv"}], "max_length": 400}
    kept = {"hub_backup": repository, "keep": 2, "every_steps": 4}
    return toy_recipe(toy, data=data, checkpoints=kept | more.pop("checkpoints", {}), **more)


def upload(text: str = FAQ) -> Path:
    write_whole(home.uploads_folder() / "faq.csv", text)
    return home.uploads_folder() / "faq.csv"


def copied(trained: Path, repository: str) -> Job:
    """The finished run in this test's home, to be backed up in a repository."""
    shutil.copytree(trained, home.home(), dirs_exist_ok=True)
    (folder,) = (folder for folder in home.jobs_folder().iterdir() if folder.is_dir())
    values = yaml.safe_load((folder / "recipe.yaml").read_text())
    values["checkpoints"]["hub_backup"] = repository
    write_whole(folder / "recipe.yaml", to_yaml(parse(values)))
    return Job(folder)


def begin_backup(job: Job, writer: str = "w1") -> subprocess.Popen:
    """What a worker does whose Hub did not answer when it began."""
    begun = {"event": "backup", "repository": job.recipe.checkpoints.hub_backup, "writer": writer}
    append_line(job.files.events, {"time": time.time()} | begun)
    return subprocess.Popen([sys.executable, "-m", "core.hub.backup", str(job.folder)], cwd=home.ROOT)


def events(job: Job, name: str) -> list[dict]:
    return [event for event in job.events if event["event"] == name]


def wait_for(look, longest_s: float = 60):
    until = time.monotonic() + longest_s
    while not (found := look()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)
    return found
