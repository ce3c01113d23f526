"""Job folders as a worker would have left them, with made-up numbers: for the page benchmark, page tests and screenshots."""

import json
import math
import os
import random
import time
from collections.abc import Iterator
from typing import Any

from core import home
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
    folder.mkdir(parents=True)
    files.recipe.write_text(to_yaml(recipe))
    with files.metrics.open("w") as file:
        file.writelines(_metrics(steps, done, number))
    events = _events(moment, steps, done, recipe.checkpoints.every_steps)
    files.events.write_text("".join(json.dumps(row) + "\n" for row in events))
    files.resolved.write_text("device: cpu\nprecision: fp32\nmodel: {source: starter, revision: 12fd25f}\n")
    files.log.write_text("".join(f"step {step} of {steps}\n" for step in range(max(1, done - 1000), done + 1)))
    for step in _checkpoint_steps(done, recipe.checkpoints.every_steps)[-3:]:
        _write_checkpoint(files, step)
    if status in ("finished", "stopped", "failed"):
        why = WHY[status].format(step=done, steps=steps)
        files.result.write_text(json.dumps({"status": status, "why": why, "time": moment + done}))
    return Job(folder)


WHY = {
    "finished": "Finished after {steps} steps. The adapter is ready for Chat.",
    "stopped": "Stopped at step {step} of {steps}. Step {step} is saved.",
    "failed": "Out of memory at step {step}. Batch 2 with accumulation 8 trains the same and needs half as much.",
}


def _measure_every(steps: int) -> int:
    """Ten held-out losses a run, and more in a very long one."""
    return max(1, min(steps // 10, 500))


def _metrics(steps: int, done: int, seed: int) -> Iterator[str]:
    """The lines themselves: a million of them through `json` would take as long as the benchmark."""
    random.seed(seed)
    every = _measure_every(steps)
    for step in range(1, done + 1):
        share = step / steps
        level = 0.9 + 1.5 * math.exp(-4 * share)
        rate = 5e-4 * (step / 10 if step < 10 else 0.5 * (1 + math.cos(math.pi * share)))
        loss, norm, speed = random.gauss(0, 0.06), random.gauss(0, 0.08), random.gauss(0, 9)
        yield (
            f'{{"step": {step}, "epoch": {share:.4f}, "loss": {level + loss:.4f}, "learning_rate": {rate:.6g}, '
            f'"grad_norm": {0.6 + math.exp(-6 * share) + abs(norm):.4f}, '
            f'"tokens_per_s": {240 + speed - (60 if step % every == 1 else 0):.1f}, '
            f'"memory_bytes": {3.1e9 + 2e8 * min(1, 8 * share):.0f}, '
            f'"elapsed_s": {step * 1.1:.1f}, "left_s": {(steps - step) * 1.1:.1f}}}\n'
        )
        if step % every == 0:
            yield f'{{"step": {step}, "held_out_loss": {level + 0.05 + random.gauss(0, 0.01):.4f}}}\n'


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
        if step % _measure_every(steps) == 0:
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
    folder.mkdir(parents=True)
    weights = folder / "adapter_model.safetensors"
    weights.touch()
    os.truncate(weights, CHECKPOINT_BYTES)  # a hole: it takes no room
    manifest = {"step": step, "files": {weights.name: {"size_bytes": CHECKPOINT_BYTES}}}
    home.manifest_file(folder).write_text(json.dumps(manifest))
