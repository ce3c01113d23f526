"""EVA (arXiv:2410.07170): the adapter begins with the directions in which the data's activations vary most."""

from typing import Any

import torch
from datasets import Dataset
from peft import EvaConfig, LoraConfig, PeftModel, get_eva_state_dict

from core.errors import ModelError

ADAPTER = "default"
# So many tokens for each rank, so that the directions are those of the data and not of one conversation.
TOKENS_PER_RANK = 8
LONGEST = 1024
BATCHES = 16
# Rounds through the batches before giving up; most models settle in the first.
MOST_ROUNDS = 8


def begin(model: PeftModel, rows: Dataset) -> None:
    """Give each adapter the main directions of its layer's inputs over the first rows; raises ModelError.

    Ranks are not moved between layers (rho 1), so that the plan and every checkpoint have the recipe's shape. All are asked
    for the highest rank: to layers with the same inputs PEFT gives the same directions, of the rank of one of them.
    """
    config: LoraConfig = model.peft_config[ADAPTER]
    rank = max([config.r, *config.rank_pattern.values()])
    settings = LoraConfig(r=rank, eva_config=EvaConfig(rho=1.0), init_lora_weights="eva")
    directions = get_eva_state_dict(
        model,
        _batches(rows, rank * TOKENS_PER_RANK),
        settings,
        forward_fn=_Limited(),
        # Every process of a training looks through the same rows.
        gather_distributed_inputs=False,
        show_progress_bar=False,
    )
    for name, found in directions.items():  # (highest rank, in), the strongest first
        weight = model.get_submodule(name).lora_A[ADAPTER].weight
        weight.data = found[: len(weight)].to(weight.device, weight.dtype).contiguous()


class _Limited:
    """One forward pass; raises ModelError after too many."""

    def __init__(self) -> None:
        self.left = BATCHES * MOST_ROUNDS

    def __call__(self, model: PeftModel, inputs: dict[str, torch.Tensor]) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ModelError(
                "lora.method: the directions EVA looks for do not settle on this data. Choose lora or pissa."
            )
        return model(**inputs, use_cache=False)


def _batches(rows: Dataset, tokens: int) -> list[dict[str, torch.Tensor]]:
    """Rows one after the other, cut into texts of at least so many tokens; raises ModelError where there are too few."""
    ids: list[int] = []
    batches: list[dict[str, torch.Tensor]] = []
    for row in rows:
        ids += row["input_ids"][:LONGEST]
        if len(ids) >= tokens:
            batches.append({"input_ids": torch.tensor([ids])})
            ids = []
        if len(batches) == BATCHES:
            break
    if len(batches) < 2:
        raise ModelError(
            f"lora.method: EVA needs at least {2 * tokens:,} tokens of data at this rank. Lower lora.rank, or choose lora."
        )
    return batches
