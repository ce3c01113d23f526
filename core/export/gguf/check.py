"""Whether the weights of a GGUF file say what those it was made of say, read by other code than wrote it: transformers'."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from core.errors import ModelError
from core.export.asked import ROUNDED
from core.export.gguf.tensors import config_of
from core.export.likeness import ROUNDING, Likeness, ask
from core.inference.prompt import ends_of
from core.models.load import Found, load_base, load_tokenizer
from core.models.precision import DTYPES, precision_of

# In nats a token, where most numbers have four bits; a wrongly written weight costs several.
ROUNDING_TO_4_BITS = 0.5


def compare(merged: Found, file: Path, precision: str) -> Likeness:
    """How far they are apart; raises ModelError where that is more than rounding. One of them is in memory at a time."""
    dtype, tokenizer = DTYPES[precision_of(merged)], load_tokenizer(merged)
    ends = ends_of(tokenizer)
    wanted = ask(load_base(merged, dtype, "cpu").eval(), tokenizer, ends)
    # transformers computes in fp32 with numbers that it keeps rounded.
    found = ask(_read(merged, file, torch.float32 if precision in ROUNDED else dtype).eval(), tokenizer, ends)
    likeness = Likeness.between(wanted, wanted, found)
    if likeness.apart <= (ROUNDING_TO_4_BITS if precision == "q4_1" else ROUNDING):
        return likeness
    raise ModelError(
        f"The GGUF file is not what was trained: its likelihoods are {likeness.apart:.3f} nats a token from those of the merged "
        "model. Export it in fp16, or merged."
    )


def _read(merged: Found, file: Path, dtype: torch.dtype) -> PreTrainedModel:
    """With the model's own settings: transformers does not take all of them from such a file."""
    wish = {"gguf_file": file.name, "config": config_of(merged), "dtype": dtype}
    try:
        return AutoModelForCausalLM.from_pretrained(file.parent, **wish)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"The GGUF file that was written cannot be read: {str(error)[:300]}") from error
