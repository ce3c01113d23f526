"""What an export is asked: of which run, the adapter, a merged model or both, or a GGUF file, in which precision. No torch."""

from typing import Literal

from pydantic import Field

from core.errors import JobError
from core.jobs.errand import Errand
from core.models.left_out import LeftOut
from core.recipe import Recipe
from core.training.methods import METHODS

NOTHING = "to export"
What = Literal["adapter", "merged", "both", "gguf"]
# Numbers that share a scale in blocks of 32; only a GGUF file holds them.
ROUNDED = ("q8_0", "q4_1")


class Export(Errand):
    """One export of one run."""

    what: What | None = Field(
        None,
        title="What",
        description="`adapter` is small and needs its base model beside it. `merged` is a whole model that runs by itself. "
        "`gguf` is that in one file, for Ollama, LM Studio and llama.cpp. Empty: the adapter, or the model where all of it was "
        "trained, or layers of it were left out.",
    )
    precision: Literal["auto", "bf16", "fp16", "fp32", "q8_0", "q4_1"] = Field(
        "auto",
        title="Precision",
        description="The number format of the whole model. `auto` is its base's own, and q8_0, half of that, in a GGUF file. "
        "Raise it to fp32 to lose nothing, at twice the size; take fp16 for GPUs without bf16, and in a GGUF file q4_1, a third, "
        "where memory is small and a few other words do no harm.",
    )


def parts(asked: Export, recipe: Recipe) -> tuple[str, ...]:
    """`adapter`, `merged`, both or `gguf`; raises JobError where no adapter is of use to others, or nothing has such numbers."""
    reason = only_merged(recipe)
    if reason and asked.what in ("adapter", "both"):
        raise JobError(f"{reason} Choose `merged`.")
    if asked.what != "gguf" and asked.precision in ROUNDED:
        raise JobError(f"Only a GGUF file has numbers in {asked.precision}. Choose `gguf`, or another precision.")
    what = asked.what or ("merged" if reason else "adapter")
    return ("adapter", "merged") if what == "both" else (what,)


def only_merged(recipe: Recipe) -> str | None:
    """Why there is nothing to take elsewhere but a whole model, in a sentence; None where there is an adapter too."""
    if METHODS[recipe.lora.method].whole:
        return "Full fine-tuning trains the model itself, so there is no adapter."
    if left_out := recipe.model.drop_layers:
        count = LeftOut(left_out).words
        return f"The adapter fits {recipe.model.source} without {count} alone, and such a model others do not have."
    return None


def precision_of_gguf(asked: Export) -> str:
    """What `auto` is there: half the size of 16 bits, at hardly any loss."""
    return "q8_0" if asked.precision == "auto" else asked.precision


def precision_of_merged(asked: Export) -> str:
    """That of the whole model, also where a GGUF file is made of it."""
    return "auto" if asked.precision in ROUNDED else asked.precision
