"""Kill a small but real training at random moments, resume it each time, and see that nothing was lost and nothing differs.

Usage: python -m benchmarks.chaos [KILLS] [--kinds plain packing qlora torchrun] [--kills-per-run 5] [--seed 7]. Every kill is a
SIGKILL to the job's process group: a third of them as soon as a checkpoint is being written, the others at any moment
of the worker's life, from its first import on. Each kind of training runs once undisturbed; every disturbed run has to
end with the very bytes of that adapter. Dropout, accumulation, cosine schedule and held-out losses are in all of them.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import StudioError
from core.jobs import launcher
from core.jobs.folder import Job
from core.jobs.status import Status
from core.jobs.tail import lines_of
from core.recipe import Recipe, parse
from tests.toy_model import make_toy_model

STEPS, EVERY = 30, 5
KINDS = {
    "plain": {},
    "packing": {"data": {"packing": True}, "training": {"batch": 1}},
    "qlora": {"lora": {"method": "qlora"}},
    "torchrun": {"launcher": {"processes": 2}, "training": {"accumulation": 1}},
}
LONGEST_S = 240


@dataclass
class Tally:
    """What happened to the runs of one kind."""

    kind: str
    runs: int = 0
    kills: int = 0
    while_saving: int = 0
    lost: list[str] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)  # reported steps that a kill made void
    equal: int = 0


def recipe_of(kind: str, model: Path, run: str) -> Recipe:
    """A training of a few thousand weights in which everything that is random takes part."""
    changes = KINDS[kind]
    settings = {"max_steps": STEPS, "batch": 2, "accumulation": 2, "learning_rate": 1e-3, "eval_every": 7, "seed": 11}
    return parse(
        {
            "name": f"{kind}-{run}",
            "model": {"source": str(model)},
            "data": {"sources": [{"source": "starter", "limit": 40}], "max_length": 400} | changes.get("data", {}),
            "lora": {"dropout": 0.1, "rank": 4, "alpha": 8} | changes.get("lora", {}),
            "training": settings | changes.get("training", {}),
            "checkpoints": {"every_steps": EVERY, "keep": 2},
            "launcher": changes.get("launcher", {}),
        }
    )


def undisturbed(kind: str, model: Path) -> tuple[str, float]:
    """The fingerprint of the adapter of a run that nobody kills, and its seconds."""
    began = time.monotonic()
    job = launcher.start(recipe_of(kind, model, "undisturbed"))
    if launcher.wait(job, LONGEST_S) is not Status.FINISHED:
        sys.exit(f"The undisturbed run was {job.status}: {job.result}")
    return fingerprint(job), time.monotonic() - began


def disturbed(tally: Tally, number: int, model: Path, kills: int, expected: tuple[str, float], chance: random.Random):
    """One run with so many kills, and what became of it."""
    adapter, usual_s = expected
    job = launcher.start(recipe_of(tally.kind, model, f"run-{number}"))
    tally.runs += 1
    for _ in range(kills):
        saving = chance.random() < 1 / 3
        moment = chance.uniform(0, 0.05) if saving else chance.uniform(0.1, usual_s)
        if not killed(job, saving, moment):
            break
        tally.kills += 1
        tally.while_saving += saving
        try:
            launcher.resume(job)
        except StudioError as error:
            tally.lost.append(f"{job.id}: {error}")
            return
    status = launcher.wait(job, LONGEST_S)
    tally.repeated += list(repeated_steps(job))
    if status is not Status.FINISHED or list(job.metrics["step"]) != list(range(1, STEPS + 1)):
        tally.lost.append(f"{job.id}: {status} {job.result}")
    elif fingerprint(job) == adapter:
        tally.equal += 1


def killed(job: Job, saving: bool, moment_s: float) -> bool:
    """Kill the worker after a while, or that long after it began to write a checkpoint; False if it was over before."""
    until = time.monotonic() + LONGEST_S
    while saving and not any(job.files.scratch.glob("checkpoint-*")):
        if job.result or time.monotonic() > until:
            return False
        time.sleep(0.001)
    time.sleep(moment_s)
    worker = job.worker
    if job.result or worker is None:
        return False
    os.killpg(worker.pid, signal.SIGKILL)
    while worker.alive:
        time.sleep(0.005)
    return job.result is None


def repeated_steps(job: Job) -> Iterator[int]:
    """For each resume, how many reported steps it made void."""
    last = 0
    for row in lines_of(job.files.metrics):
        if "resumed_from" in row:
            yield max(0, last - row["resumed_from"])
            last = row["resumed_from"]
        elif "loss" in row:
            last = row["step"]


def fingerprint(job: Job) -> str:
    return hashlib.sha256((job.files.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()


def run_kind(kind: str, model: Path, kills: int, per_run: int, chance: random.Random) -> Tally:
    expected = undisturbed(kind, model)
    tally, number = Tally(kind), 0
    while tally.kills < kills and len(tally.lost) < 3:
        number += 1
        disturbed(tally, number, model, min(per_run, kills - tally.kills), expected, chance)
        print(f"  {kind}: {tally.kills} kills, {tally.equal} of {tally.runs} runs equal", flush=True)
    return tally


def report(tallies: list[Tally]) -> bool:
    """Print the table and the line of figures; whether every goal was met."""
    print(
        f"{'kind':10}{'kills':>7}{'while saving':>14}{'runs':>6}{'lost':>6}{'steps twice, most a kill':>26}{'bytes equal':>13}"
    )
    for tally in tallies:
        most = max(tally.repeated, default=0)
        mean = f"{most} (mean {statistics.mean(tally.repeated or [0]):.1f})"
        equal = f"{tally.equal}/{tally.runs}"
        print(
            f"{tally.kind:10}{tally.kills:>7}{tally.while_saving:>14}{tally.runs:>6}{len(tally.lost):>6}{mean:>26}{equal:>13}"
        )
        for lost in tally.lost:
            print(f"  lost: {lost}")
    figures = {
        "kills": sum(tally.kills for tally in tallies),
        "runs": sum(tally.runs for tally in tallies),
        "runs_lost": sum(len(tally.lost) for tally in tallies),
        "runs_equal": sum(tally.equal for tally in tallies),
        "most_steps_repeated_by_a_kill": max((step for tally in tallies for step in tally.repeated), default=0),
        "checkpoint_every": EVERY,
    }
    print(json.dumps(figures))
    met = figures["runs_lost"] == 0 and figures["runs_equal"] == figures["runs"]
    return met and figures["most_steps_repeated_by_a_kill"] <= EVERY


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--kills-per-run", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    # A toy has nothing to share between cores; its processes only wait for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="studio-chaos-") as folder:
        os.environ["STUDIO_HOME"] = folder
        model = make_toy_model(Path(folder) / "toy")
        each = -(-asked.kills // len(asked.kinds))
        print(f"{STEPS} steps a run, a checkpoint every {EVERY}, {each} kills for each of {', '.join(asked.kinds)}")
        tallies = [run_kind(kind, model, each, asked.kills_per_run, chance) for kind in asked.kinds]
        return 0 if report(tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
