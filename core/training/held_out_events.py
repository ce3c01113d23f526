"""The held-out losses that a training has measured, before its first step and at its last or best. No torch."""

from core.jobs.folder import Job

ALL = "All held-out rows"


def before_and_after(job: Job, step: int | None = None) -> dict[str, tuple[float, float]]:
    """Of all held-out rows, then of each data set: the base's loss and that of the result, or of a step's checkpoint.

    Empty where one of them was not measured.
    """
    of_step = _measured(job)
    last = max(of_step, default=0)
    chosen = job.best_step if job.recipe.training.load_best and job.best_step in of_step else last
    chosen = chosen if step is None else step
    if 0 not in of_step or not chosen or chosen not in of_step:
        return {}
    before, after = of_step[0], of_step[chosen]
    of_each = {
        name: (loss, after["sources"][name]) for name, loss in _sources(before).items() if name in _sources(after)
    }
    return {ALL: (before["loss"], after["loss"])} | of_each


def _measured(job: Job) -> dict[int, dict]:
    """Step -> what was measured there; what a resume made void is none of it."""
    found: dict[int, dict] = {}
    for event in job.events:
        if event["event"] == "resumed":
            found = {step: measured for step, measured in found.items() if step <= event["step"]}
        elif event["event"] == "held_out" and event.get("loss"):
            found[event["step"]] = event
    return found


def _sources(event: dict) -> dict[str, float]:
    found = event.get("sources")
    return found if isinstance(found, dict) else {}
