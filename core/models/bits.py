"""How a base model is held in fewer than 16 bits."""

import logging

import torch
from transformers import BitsAndBytesConfig


def quantization(bits: int, dtype: torch.dtype) -> BitsAndBytesConfig:
    """NF4 with double quantisation (QLoRA, arXiv:2305.14314) in 4 bits, LLM.int8 (arXiv:2208.07339) in 8.

    `dtype` is the format in which products of weights in 4 bits are computed.
    """
    if bits == 8:
        # It says of every layer in every step that it computes in fp16.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
