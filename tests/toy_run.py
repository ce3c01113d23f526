"""A finished run, written as a training would have left it: recipe, events, adapters, result."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from core import home
from core.files import append_line, write_whole
from core.jobs.folder import Job
from core.recipe import parse
from core.recipe_yaml import to_yaml

MakeAdapter = Callable[[Path], Path]


def make_toy_run(job_id: str, model: str, adapter: MakeAdapter, steps: tuple[int, ...] = (), **recipe) -> Job:
    """A job folder under `$STUDIO_HOME` with a final adapter and a checkpoint at each of the steps."""
    job = Job(home.job_folder(job_id))
    values = {"name": recipe.pop("name", job_id), "model": {"source": model, **recipe}}
    write_whole(job.files.recipe, to_yaml(parse(values)))
    append_line(job.files.events, {"time": time.time(), "event": "created", "kind": "train"})
    adapter(job.files.adapter)
    for step in steps:
        folder = adapter(job.files.checkpoint(step))
        write_whole(home.manifest_file(folder), json.dumps({"step": step, "files": {}}))
    write_whole(job.files.result, json.dumps({"status": "finished", "why": "", "time": time.time()}))
    return job
