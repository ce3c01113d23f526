"""Begin an evaluation of a run, in the background. No torch."""

from importlib.util import find_spec
from typing import Any

from core.errors import JobError
from core.evaluation.asked import NOTHING, Evaluation
from core.jobs import launcher
from core.jobs.asked import beside
from core.jobs.errand import errand, run_of
from core.jobs.folder import Job


def start(run_id: str, values: dict[str, Any], token: str | None = None) -> Job:
    """The job, from what differs of the fields' defaults; the very same is not started twice. Raises StudioError.

    `token` is for the Hub, if another than this machine's.
    """
    asked = errand(Evaluation, run_id, values, NOTHING)
    if asked.tasks and find_spec("lm_eval") is None:
        raise JobError(
            "tasks: lm-evaluation-harness is not installed. Install it with `pip install lm-eval`, or name none."
        )
    return launcher.start(run_of(asked).recipe, "evaluate", beside("evaluate", asked), token)
