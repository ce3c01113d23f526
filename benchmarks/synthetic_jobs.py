"""Job folders as a worker would have left them, with made-up numbers: for the page benchmark, page tests and screenshots."""

import json
import math
import random
import time
from pathlib import Path
from typing import Any

from core import home
from core.files import write_whole
from core.jobs.folder import Job
from core.recipe import parse
from core.recipe_yaml import to_yaml

CHECKPOINT_BYTES = 67_000_000


def make_job(
    number: int,
    name: str = "support-bot",
    status: str = "finished",
    steps: int = 120,
    reported: int | None = None,
    **sections: Any,
) -> Job:
    """A training of `steps` steps that reported `reported` of them; a status of "interrupted" or "running" has no result."""
    age = number * 5400.0
    moment = time.time() - age - steps
    recipe = parse({"name": name, "checkpoints": {"every_steps": max(1, steps // 4)}} | sections)
    slug = name.lower().replace(" ", "-")
    folder = home.job_folder(f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(moment))}-{slug}-{number}")
    files = home.JobFiles(folder)
    done = steps if reported is None else reported
    write_whole(files.recipe, to_yaml(recipe))
    _write_lines(files.metrics, _metrics(steps, done, number))
    _write_lines(files.events, _events(moment, steps, done, recipe.checkpoints.every_steps))
    write_whole(files.resolved, "device: cpu\nprecision: fp32\nmodel: {source: starter, revision: 12fd25f}\n")
    write_whole(files.log, "".join(f"step {step} of {steps}\n" for step in range(1, done + 1)))
    for step in _checkpoint_steps(done, recipe.checkpoints.every_steps)[-3:]:
        _write_checkpoint(files, step)
    if status in ("finished", "stopped", "failed"):
        why = WHY[status].format(step=done, steps=steps)
        write_whole(files.result, json.dumps({"status": status, "why": why, "time": moment + done}))
    return Job(folder)


WHY = {
    "finished": "Finished after {steps} steps. The adapter is ready for Chat.",
    "stopped": "Stopped at step {step} of {steps}. Step {step} is saved.",
    "failed": "Out of memory at step {step}. Batch 2 with accumulation 8 trains the same and needs half as much.",
}


def _metrics(steps: int, done: int, seed: int) -> list[dict[str, Any]]:
    random.seed(seed)
    rows: list[dict[str, Any]] = []
    every = max(1, steps // 10)
    for step in range(1, done + 1):
        share = step / steps
        level = 0.9 + 1.5 * math.exp(-4 * share)
        rows.append(
            {
                "step": step,
                "epoch": round(share, 4),
                "loss": level + random.gauss(0, 0.06),
                "learning_rate": 5e-4 * (step / 10 if step < 10 else 0.5 * (1 + math.cos(math.pi * share))),
                "grad_norm": 0.6 + math.exp(-6 * share) + abs(random.gauss(0, 0.08)),
                "tokens_per_s": 240 + random.gauss(0, 9) - (60 if step % every == 1 else 0),
                "memory_bytes": 3.1e9 + 2e8 * min(1, 8 * share),
                "elapsed_s": step * 1.1,
                "left_s": (steps - step) * 1.1,
            }
        )
        if step % every == 0:
            rows.append({"step": step, "held_out_loss": level + 0.05 + random.gauss(0, 0.01)})
    return rows


def _events(moment: float, steps: int, done: int, every: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"time": moment, "event": "created", "kind": "train"},
        {"time": moment, "event": "phase", "phase": "preparing"},
        {"time": moment, "event": "progress", "what": "Counting tokens", "done": 323, "total": 323},
        {
            "time": moment,
            "event": "prepared",
            "key": "none",
            "rows": 307,
            "held_out_rows": 16,
            "tokens": 41_900,
            "supervised_tokens": 22_300,
            "cached": False,
        },
        {"time": moment, "event": "phase", "phase": "running"},
        {"time": moment, "event": "training", "total_steps": steps, "device": "cpu", "precision": "fp32"},
    ]
    for step in range(1, done + 1):
        if step % max(1, steps // 10) == 0:
            loss = 0.95 + 1.5 * math.exp(-4 * step / steps)
            rows.append({"time": moment + step, "event": "held_out", "step": step, "loss": loss, "best": True})
        if step % every == 0:
            saved = {"event": "checkpoint", "step": step, "size_bytes": CHECKPOINT_BYTES}
            rows.append({"time": moment + step} | saved)
    return rows


def _checkpoint_steps(done: int, every: int) -> list[int]:
    return [step for step in range(1, done + 1) if step % every == 0]


def _write_checkpoint(files: home.JobFiles, step: int) -> None:
    folder = files.checkpoint(step)
    content = b"0" * 1000
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(content)
    manifest = {"step": step, "files": {"adapter_model.safetensors": {"size_bytes": CHECKPOINT_BYTES}}}
    write_whole(home.manifest_file(folder), json.dumps(manifest))


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))
