"""The tokens with which a chat template marks turns: which they are, and whether the model has ever learned them."""

import torch
from datasets import Dataset
from peft.utils.other import TrainableTokensWrapper
from transformers import PreTrainedModel

from core.errors import ModelError
from core.recipe_lora import LoraSection

# Every row has them, so a few are enough.
ROWS = 100
# A row of the embedding that was never trained stays far shorter than the others, or the same as its neighbours.
SHORT = 0.2


def marks(rows: Dataset, special: set[int]) -> list[int]:
    """Ids of the special tokens that the rows hold, in order."""
    first = rows.select(range(min(ROWS, len(rows))))
    return sorted({token for ids in first["input_ids"] for token in ids} & special)


def trained(lora: LoraSection, marks: list[int]) -> list[int] | None:
    """PEFT's `trainable_token_indices`; raises ModelError where there is nothing to train."""
    if not lora.template_tokens:
        return None
    if not marks:
        raise ModelError(
            "lora.template_tokens: the chat template writes no tokens of its own, so there are none to train. Turn it off."
        )
    return marks


def show_bias(base: PreTrainedModel) -> None:
    """PEFT's wrapper around an output layer that is tied to the embedding shows its weights only; TRL asks for its bias too."""
    head = base.get_output_embeddings()
    if isinstance(head, TrainableTokensWrapper):
        head.bias = head.original_module.bias


def unlearned(base: PreTrainedModel, marks: list[int]) -> list[int]:
    """Those that the model has most likely never seen in its training."""
    if not marks:
        return []
    weights = base.get_input_embeddings().weight  # (vocabulary, hidden)
    usual = weights[:: max(1, len(weights) // 2000)].float().norm(dim=1).median()
    found = weights[marks].float()
    alike = torch.cdist(found, found).fill_diagonal_(torch.inf).amin(dim=1) < SHORT * usual * 0.1
    short = found.norm(dim=1) < SHORT * usual
    return [mark for mark, new in zip(marks, (short | alike).tolist(), strict=True) if new]
