"""The number format of a model's weights, by the names people use."""

from pathlib import Path

import torch
from transformers import AutoConfig

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def precision_of(folder: Path) -> str:
    """What the model in a folder says it comes in; fp32 where it does not say, or says another."""
    return NAMES.get(AutoConfig.from_pretrained(folder, trust_remote_code=False).dtype, "fp32")
