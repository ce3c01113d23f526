"""What layers left out are worth and what they cost: LoRA on the whole starter and without some of its layers, in turn.

The same rows, steps and settings; told are the seconds of the usual step, the most memory of the worker, the size of the model
that chats later, and the held-out loss before the first step and after the last. The layers are chosen and the smaller model is
written before anything is timed. `python -m benchmarks.prune [STEPS] [ROUNDS] [LAYERS …]`
"""

import json
import statistics
import sys
from itertools import pairwise

from core.jobs import launcher
from core.jobs.folder import Job
from core.jobs.status import Status
from core.models.known_shape import trained_shape
from core.plan.plan import total_steps
from core.recipe import Recipe, parse
from core.training.held_out_events import ALL, before_and_after

LONGEST_S = 3600
FIGURES = ("step_s", "memory_gb", "loss_before", "loss_after")


def recipe(layers: int, steps: int) -> Recipe:
    return parse(
        {
            "name": f"without {layers} layers",
            "model": {"drop_layers": layers},
            "data": {"max_length": 256, "eval_fraction": 0.1},
            "training": {"max_steps": steps, "batch": 4, "accumulation": 1, "learning_rate": 5e-4, "eval_every": steps},
        }
    )


def finished(wanted: Recipe) -> Job:
    job = launcher.start(wanted)
    if launcher.wait(job, LONGEST_S) is not Status.FINISHED:
        sys.exit(f"The run was {job.status}: {job.result}\n{job.log_tail()}")
    return job


def measured(layers: int, steps: int) -> dict[str, float]:
    print(f"without {layers} …", file=sys.stderr, flush=True)
    job = finished(recipe(layers, steps))
    times = [seconds for seconds in job.metrics["elapsed_s"] if seconds]
    before, after = before_and_after(job)[ALL]
    step_s = statistics.median(b - a for a, b in pairwise(times))
    memory_gb = job.resolved["peak_memory_bytes"] / 1e9
    return dict(zip(FIGURES, (step_s, memory_gb, before, after), strict=True))


def main(steps: int, rounds: int, several: list[int]) -> None:
    for layers in several:
        finished(recipe(layers, 1))  # chooses and writes, prepares the data, and warms the machine
    found: dict[int, list[dict[str, float]]] = {layers: [] for layers in several}
    for _ in range(rounds):
        for layers in several:
            found[layers].append(measured(layers, steps))
    print(f"Starter model, batch 4, {total_steps(recipe(0, steps), None)} steps, {rounds} rounds in turn")
    print(f"{'left out':>8} {'':12}{'median':>10}{'min':>10}{'max':>10}{'to whole':>10}")
    said: dict[str, float] = {}
    for layers, rows in found.items():
        for name in FIGURES:
            values, whole = ([row[name] for row in of] for of in (rows, found[several[0]]))
            middle = statistics.median(values)
            said[f"{name}_without_{layers}"] = round(middle, 4)
            said[f"{name}_ratio_{layers}"] = round(middle / statistics.median(whole), 3)
            ends = f"{min(values):>10.3f}{max(values):>10.3f}"
            print(f"{layers:>8} {name:12}{middle:>10.3f}{ends}{middle / statistics.median(whole):>10.3f}")
        said[f"parameters_without_{layers}"] = trained_shape(recipe(layers, steps).model).parameters
    print(json.dumps(said))


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:]]
    main(*(given[:2] + [40, 3][len(given) :]), given[2:] or [0, 8])
