"""What an evaluation is asked: of which run, on which general data, with which prompts. No torch."""

from pathlib import Path

import yaml
from pydantic import Field

from core.errors import JobError
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, known_job
from core.recipe_sections import Line, Section

# Short questions and answers about this and that, written by hand: what a model knew before it was taught.
EVERYDAY = Path(__file__).with_name("everyday.jsonl")


class Evaluation(Section):
    """One evaluation of one run."""

    run: Line = Field(title="Run", description="The id of the run whose result is compared with its base.")
    step: int | None = Field(
        None, ge=1, title="Checkpoint", description="The checkpoint of this step. Empty: the run's result."
    )
    general: Line = Field(
        "everyday",
        title="General data",
        description="What the model should still know: a Hub id, or a file or folder on this machine, that the run did not "
        "train on. `everyday` are sixty short questions that come with the studio.",
    )
    prompts: list[str] = Field(
        default_factory=list,
        max_length=50,
        title="Prompts",
        description="What both are asked, one after the other. Empty: the first held-out rows.",
    )
    most_rows: int = Field(
        500,
        ge=8,
        le=20_000,
        title="Most rows",
        description="Rows of each set on which the loss is measured. Raise it for a surer answer, lower it to save time.",
    )
    tasks: list[Line] = Field(
        default_factory=list,
        max_length=20,
        title="Known tests",
        description="Tasks of lm-evaluation-harness, such as `arc_easy`, or YAML files of your own. They need `pip install "
        "lm-eval`, and most fetch their data from the Hub.",
    )
    longest_answer: int = Field(
        128,
        ge=1,
        le=4096,
        title="Longest answer",
        description="Tokens of an answer at most. Raise it if answers are cut, lower it to save time.",
    )


def to_yaml(asked: Evaluation) -> str:
    return yaml.safe_dump(asked.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def asked_of(job: Job) -> Evaluation:
    """What an evaluate job was asked; raises JobError where its file was broken."""
    try:
        return Evaluation.model_validate(yaml.safe_load(job.files.evaluation_asked.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise JobError(
            f"The evaluation {job.id} is damaged: its {job.files.evaluation_asked.name} cannot be read."
        ) from error


def run_of(asked: Evaluation) -> Job:
    """The run it is about; raises JobError."""
    if run := known_job(asked.run):
        return run
    raise JobError(f"The run {asked.run} is not there.")


def folder_of(run: Job, step: int | None) -> Path:
    """The adapter or model of a run: its result, else its newest checkpoint, or the checkpoint of a step; raises JobError."""
    checkpoint = run.checkpoint_of(step) if step else next(reversed(run.checkpoints), None)
    folder = run.final if step is None and run.final else checkpoint and checkpoint.folder
    if folder is None:
        what = f"no usable checkpoint of step {step:,}" if step else "neither a result nor a checkpoint yet"
        raise JobError(f"{run.name} has {what}, so there is nothing to compare with its base.")
    return folder


def evaluations_of(run: Job) -> list[Job]:
    """The evaluations of a run, newest first."""
    return [job for job in all_jobs("evaluate") if not job.damage and _is_about(job, run)]


def _is_about(job: Job, run: Job) -> bool:
    try:
        return asked_of(job).run == run.id
    except JobError:
        return False
