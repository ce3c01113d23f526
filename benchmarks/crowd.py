"""A training and a chat beside programs that never rest: as the studio's threads wait for each other, and always spinning.

Steps of LoRA on the starter, 2 rows of 256 tokens each; tokens of an answer of the base. Each beside none, one and two programs,
in turn with the same in processes whose threads only ever spin (`OMP_WAIT_POLICY=active`), which is how most programs with torch
come. What makes no second step within two minutes counts as one step in these. `python -m benchmarks.crowd [ROUNDS]`
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from benchmarks.chat import ask
from benchmarks.plan import prepare, recipe_of
from core.inference import process
from core.jobs import launcher

LONGEST_S = 120.0
OTHERS = (0, 1, 2)
WAYS: dict[str, dict[str, str]] = {"studio": {}, "spinning": {"OMP_WAIT_POLICY": "active"}}
TOKENS = 48


@contextmanager
def busy(others: int) -> Iterator[None]:
    """So many programs that never rest."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(others)]
    try:
        yield
    finally:
        for program in running:
            program.kill()
            program.wait()


@contextmanager
def waiting(way: str) -> Iterator[None]:
    """What is started here has this way of waiting."""
    os.environ |= WAYS[way]
    try:
        yield
    finally:
        for name in WAYS[way]:
            del os.environ[name]


def step_s() -> float:
    """Seconds of the usual step of a training, once it goes."""
    job = launcher.start(recipe_of({"data.max_length": 256}))
    launcher.wait(job, LONGEST_S)
    if job.status.live:
        launcher.end(job, "It takes too long.")
    times = [seconds for seconds in job.metrics["elapsed_s"] if seconds]
    return statistics.median(b - a for a, b in pairwise(times)) if len(times) > 1 else LONGEST_S


def tokens_per_s() -> float:
    process.engine()
    try:
        ask("starter", 4)  # loads the model
        _, seconds, made = ask("starter", TOKENS)
        return made / seconds
    finally:
        process.stop()


def measure(rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for others in OTHERS:
            for way in WAYS:
                with busy(others), waiting(way):
                    print(f"{way}, beside {others} …", file=sys.stderr, flush=True)
                    found.setdefault(f"step_s_{way}_beside_{others}", []).append(step_s())
                    found.setdefault(f"tokens_per_s_{way}_beside_{others}", []).append(tokens_per_s())
    return found


def main(rounds: int) -> None:
    prepare(recipe_of({"data.max_length": 256}))
    found = measure(rounds)
    print(f"{os.cpu_count()} cores, {rounds} rounds in turn{'':6}{'median':>10}{'min':>10}{'max':>10}")
    medians = {name: statistics.median(values) for name, values in found.items()}
    for name, values in found.items():
        print(f"{name:34}{medians[name]:>10.2f}{min(values):>10.2f}{max(values):>10.2f}")
    ratios = {
        f"steps_faster_beside_{others}": medians[f"step_s_spinning_beside_{others}"]
        / medians[f"step_s_studio_beside_{others}"]
        for others in OTHERS
    }
    print(json.dumps({name: round(value, 3) for name, value in (ratios | medians).items()}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
