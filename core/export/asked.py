"""What an export is asked: of which run, the adapter, a merged model or both, in which precision. No torch."""

from typing import Literal

from pydantic import Field

from core.errors import JobError
from core.jobs.errand import Errand
from core.recipe import Recipe
from core.training.methods import METHODS

NOTHING = "to export"
What = Literal["adapter", "merged", "both"]


class Export(Errand):
    """One export of one run."""

    what: What | None = Field(
        None,
        title="What",
        description="`adapter` is small and needs its base model beside it. `merged` is a whole model that runs by itself. "
        "Empty: the adapter, or the model where all of it was trained.",
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        title="Precision",
        description="The number format of the merged model. `auto` is its base's own. Raise it to fp32 to lose nothing, at "
        "twice the size; take fp16 for GPUs without bf16.",
    )


def parts(asked: Export, recipe: Recipe) -> tuple[str, ...]:
    """`adapter`, `merged` or both; raises JobError where the training made no adapter."""
    if METHODS[recipe.lora.method].whole:
        if asked.what in ("adapter", "both"):
            raise JobError("Full fine-tuning trains the model itself, so there is no adapter. Choose `merged`.")
        return ("merged",)
    return {"both": ("adapter", "merged"), "merged": ("merged",)}.get(asked.what or "", ("adapter",))
