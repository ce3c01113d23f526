"""What a backup costs the training: the same run with one and without, in turn, while the Hub is slow.

The starter model trains on its own data with LoRA and saves often; with a backup every checkpoint also goes up over a line of so
many MB/s that answers after a while, so that something is going up nearly all the time. Compared are the seconds from the first
step to the last, saving included; the wait for the last upload comes after them and is told apart. The Hub is the tests' own, in
a process of its own at low priority, for a real one is on another machine. `python -m benchmarks.backup [STEPS] [ROUNDS] [--mb-per-s 2]`
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from core import home
from core.jobs import launcher
from core.jobs.folder import Job
from core.jobs.status import Status
from core.recipe import Recipe, parse
from tests.local_hub import client_environment, local_hub

GOAL_PERCENT = 3.0
DELAY_S = 0.2
LONGEST_S = 3600


@dataclass(frozen=True)
class Took:
    """Seconds of one run: from its first step to its last, and of the wait after that; and what went up in commits."""

    training_s: float
    waited_s: float
    commits: int


def recipe(steps: int, backup: str | None) -> Recipe:
    """Nothing but training and saving."""
    return parse(
        {
            "name": "backup" if backup else "alone",
            "data": {"eval_fraction": 0, "max_length": 256},
            "training": {"max_steps": steps, "batch": 4, "accumulation": 1},
            "checkpoints": {"every_steps": 5, "keep": 2, "hub_backup": backup},
        }
    )


def run(steps: int, backup: str | None) -> Took:
    job = launcher.start(recipe(steps, backup))
    if launcher.wait(job, LONGEST_S) is not Status.FINISHED:
        sys.exit(f"The run was {job.status}: {job.result}\n{job.log_tail()}")
    waits = [event["time"] for event in job.events if event["event"] == "waiting_for_backup"]
    ended = next(event["time"] for event in reversed(job.events) if event["event"] == "ended")
    commits = sum(event["event"] == "backed_up" for event in job.events)
    took = Took(seconds_of(job), ended - waits[0] if waits else 0.0, commits)
    print(f"  {job.name}: {took.training_s:.1f} s, then waited {took.waited_s:.1f} s; {commits} uploads", flush=True)
    return took


def seconds_of(job: Job) -> float:
    """From the beginning of the first step to the last report, the checkpoints between them included."""
    elapsed = job.metrics["elapsed_s"]
    return elapsed[-1] - elapsed[0]


def serve(root: Path, bytes_per_s: float) -> None:
    """The Hub, until it is killed; its address is the first line it prints."""
    os.nice(19)
    with (
        local_hub(root) as hub,
        hub.trouble(delay_s=DELAY_S),
        hub.trouble(where="/large-files/", bytes_per_s=bytes_per_s),
    ):
        print(hub.url, flush=True)
        time.sleep(24 * 3600)


def compare(folder: Path, steps: int, rounds: int, bytes_per_s: float) -> tuple[list[Took], list[Took]]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.backup",
        "--serve",
        str(folder / "hub"),
        "--mb-per-s",
        str(bytes_per_s / 1e6),
    ]
    with subprocess.Popen(command, cwd=home.ROOT, stdout=subprocess.PIPE, text=True) as hub:
        try:
            url = hub.stdout.readline().strip()
            os.environ |= client_environment(url, folder / "hf", "hf_ann") | {"STUDIO_HOME": str(folder / "home")}
            run(2, None)  # fetches the model and prepares the data
            pairs = [(run(steps, None), run(steps, f"ann/backup-{number}")) for number in range(rounds)]
        finally:
            hub.kill()
    alone, backed_up = zip(*pairs, strict=True)
    return list(alone), list(backed_up)


def report(alone: list[Took], backed_up: list[Took]) -> None:
    print(f"{'':14}{'median s':>10}{'min':>8}{'max':>8}")
    for name, runs in (("alone", alone), ("with backup", backed_up)):
        seconds = [took.training_s for took in runs]
        print(f"{name:14}{statistics.median(seconds):>10.1f}{min(seconds):>8.1f}{max(seconds):>8.1f}")
    ratio = statistics.median(b.training_s for b in backed_up) / statistics.median(a.training_s for a in alone)
    waited = statistics.median(took.waited_s for took in backed_up)
    longer = 100 * (ratio - 1)
    met = "met" if longer <= GOAL_PERCENT else "missed"
    print(
        f"{longer:+.1f} % longer with a backup (goal: at most {GOAL_PERCENT:g} %, {met}); {waited:.1f} s of waiting after it"
    )
    figures = {"ratio": round(ratio, 4), "percent_longer": round(longer, 2), "waited_s": round(waited, 1)}
    figures |= {"alone_s": [round(took.training_s, 2) for took in alone]}
    figures |= {"backed_up_s": [round(took.training_s, 2) for took in backed_up]}
    print(json.dumps(figures | {"uploads": [took.commits for took in backed_up]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", type=int, nargs="?", default=40)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("--mb-per-s", type=float, default=4.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.mb_per_s * 1e6)
        return
    with tempfile.TemporaryDirectory(prefix="studio-backup-") as folder:
        print(
            f"{asked.steps} steps of the starter model, a checkpoint every 5, {asked.mb_per_s:g} MB/s, {DELAY_S} s an answer"
        )
        report(*compare(Path(folder), asked.steps, asked.rounds, asked.mb_per_s * 1e6))


if __name__ == "__main__":
    main()
