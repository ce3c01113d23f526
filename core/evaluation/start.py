"""Begin an evaluation of a run, in the background. No torch."""

from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from core import home
from core.errors import JobError
from core.evaluation.asked import Evaluation, folder_of, run_of, to_yaml
from core.jobs import launcher
from core.jobs.folder import Job
from core.recipe_problems import sentences


def start(run_id: str, values: dict[str, Any], token: str | None = None) -> Job:
    """The job, from what differs of the fields' defaults; the very same is not started twice. Raises StudioError.

    `token` is for the Hub, if another than this machine's.
    """
    try:
        asked = Evaluation(run=run_id, **values)
    except ValidationError as error:
        raise JobError("\n".join(sentences(error.errors(), Evaluation))) from None
    run = run_of(asked)
    if run.damage or run.kind != "train":
        raise JobError(run.damage or f"{run.name} is not a training, so there is nothing to evaluate.")
    folder_of(run, asked.step)
    if asked.tasks and find_spec("lm_eval") is None:
        raise JobError(
            "tasks: lm-evaluation-harness is not installed. Install it with `pip install lm-eval`, or name none."
        )
    return launcher.start(run.recipe, "evaluate", {home.EVALUATION_ASKED: to_yaml(asked)}, token)
