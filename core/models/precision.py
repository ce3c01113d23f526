"""The number format of a model's weights, by the names people use."""

import torch
from transformers import AutoConfig

from core.models.load import Found

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def precision_of(found: Found) -> str:
    """What a model says it comes in; fp32 where it does not say, or says another."""
    return NAMES.get(AutoConfig.from_pretrained(found.folder, trust_remote_code=found.code).dtype, "fp32")
