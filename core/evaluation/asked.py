"""What an evaluation is asked: of which run, on which general data, with which prompts. No torch."""

from pathlib import Path

from pydantic import Field

from core.jobs.errand import Errand
from core.recipe_sections import Line

# Short questions and answers about this and that, written by hand: what a model knew before it was taught.
EVERYDAY = Path(__file__).with_name("everyday.jsonl")
NOTHING = "to compare with its base"


class Evaluation(Errand):
    """One evaluation of one run."""

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
