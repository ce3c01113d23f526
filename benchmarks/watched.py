"""What looking at a training costs it: seconds of a step while Train is open in a browser on this machine, and while it is not.

One training of LoRA on the starter, 2 rows of 256 tokens a step, on a CPU; the page is opened and left in turn, half a minute
each. `python -m benchmarks.watched [ROUNDS]`
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.plan import prepare, recipe_of
from core import home
from core.jobs import launcher
from core.jobs.folder import Job
from tools.browser import browser, studio

SPELL_S, SETTLING_S = 30, 8
STEPS = 100_000


def step_s(job: Job) -> float:
    """The mean step of the next half minute, from one report to another."""
    time.sleep(SETTLING_S)
    before = len(job.metrics)
    time.sleep(SPELL_S)
    times = [seconds for seconds in job.metrics["elapsed_s"][before - 1 :] if seconds]
    return (times[-1] - times[0]) / max(1, len(times) - 1)


def measure(job: Job, look: Callable[[], object], leave: Callable[[], object], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"alone": [], "watched": []}
    for _ in range(rounds):
        leave()
        found["alone"].append(step_s(job))
        look()
        found["watched"].append(step_s(job))
    return found


def main(rounds: int) -> None:
    recipe = recipe_of({"data.max_length": 256, "training.max_steps": STEPS})
    prepare(recipe)
    job = launcher.start(recipe)
    try:
        with studio(home.home()) as app, browser() as window:
            page = window.new_page(viewport={"width": 1440, "height": 900})
            while job.status.live and job.metrics.step < 3:
                time.sleep(0.5)
            found = measure(job, lambda: page.goto(f"{app.url}/train"), lambda: page.goto("about:blank"), rounds)
    finally:
        launcher.end(job, "It was measured.")
    medians = {name: statistics.median(values) for name, values in found.items()}
    print(f"{os.cpu_count()} cores, {rounds} rounds in turn, seconds of a step: median (least to most)")
    for name, values in found.items():
        print(f"{name:10}{medians[name]:8.2f} ({min(values):.2f} to {max(values):.2f})")
    print(json.dumps(medians | {"ratio": round(medians["watched"] / medians["alone"], 3)}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
