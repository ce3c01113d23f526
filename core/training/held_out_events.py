"""What a training has measured on held-out rows or pairs, before its first step and at its last or best. No torch."""

from core.jobs.folder import Job

ALL = "All held-out rows"


def before_and_after(job: Job, step: int | None = None) -> dict[str, tuple[float, float]]:
    """Of all held-out rows, then of each data set: the base's loss and that of the result, or of a step's checkpoint.

    Empty where one of them was not measured.
    """
    ends = _ends(job, step)
    if not ends:
        return {}
    before, after = ends
    of_each = {
        name: (loss, after["sources"][name]) for name, loss in _sources(before).items() if name in _sources(after)
    }
    return {ALL: (before["loss"], after["loss"])} | of_each


def in_words(job: Job, name: str) -> str:
    """What one of these names is called where rows are pairs."""
    return "All held-out pairs" if name == ALL and job.recipe.objective.pairs else name


def preference(job: Job, step: int | None = None) -> str | None:
    """In how many held-out pairs the chosen answer is preferred, in a sentence; None where that was not measured.

    dpo compares with the model as it was at the start, which prefers neither.
    """
    before, after = (event.get("preferred") for event in _ends(job, step) or ({}, {}))
    # A resume does not prepare again.
    prepared = next((event for event in reversed(job.events) if event["event"] == "prepared"), {})
    if before is None or after is None or not prepared.get("held_out_rows"):
        return None
    number = prepared["held_out_rows"]
    pairs = f"{number:,} held-out {'pair' if number == 1 else 'pairs'}"
    if job.recipe.objective.reference:
        return f"It moved towards the chosen answer in {100 * after:.0f} % of {pairs}."
    return f"Of {pairs} the chosen answer is preferred in {100 * before:.0f} % before and in {100 * after:.0f} % after."


def _ends(job: Job, step: int | None) -> tuple[dict, dict] | None:
    """The measurements of the base, and of the result or of a step's checkpoint; None where one of them is missing."""
    of_step = _measured(job)
    last = max(of_step, default=0)
    chosen = job.best_step if job.recipe.training.load_best and job.best_step in of_step else last
    chosen = chosen if step is None else step
    if 0 not in of_step or not chosen or chosen not in of_step:
        return None
    return of_step[0], of_step[chosen]


def newest_measured(job: Job) -> dict:
    """What was measured last, before a resume too; empty where nothing was."""
    of_step = _measured(job)
    return of_step[max(of_step)] if of_step else {}


def _measured(job: Job) -> dict[int, dict]:
    """Step -> what was measured there; what a resume made void is none of it."""
    found: dict[int, dict] = {}
    for event in job.events:
        if event["event"] == "resumed":
            found = {step: measured for step, measured in found.items() if step <= event["step"]}
        elif event["event"] == "held_out" and event.get("loss") is not None:
            found[event["step"]] = event
    return found


def _sources(event: dict) -> dict[str, float]:
    found = event.get("sources")
    return found if isinstance(found, dict) else {}
