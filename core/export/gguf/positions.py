"""How a model knows where in a text a token stands, as llama.cpp is told of it: rotary embeddings and their scaling."""

import numpy as np
import torch
from gguf import GGUFWriter, RopeScalingType
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from core.errors import ModelError

# Scalings that llama.cpp takes as factors of its own frequencies, or as one number.
KNOWN = ("default", "linear", "llama3")


def check_positions(config: PreTrainedConfig) -> None:
    """Raise ModelError for a scaling that is not known."""
    if (kind := config.rope_parameters["rope_type"]) not in KNOWN:
        raise ModelError(
            f"This model scales positions by {kind}, which is not written as GGUF here. Export it merged, and convert that "
            "folder with llama.cpp's own convert_hf_to_gguf.py."
        )


def write_positions(writer: GGUFWriter, config: PreTrainedConfig) -> None:
    """Add a head's length and its frequencies."""
    rope, length = config.rope_parameters, _head_length(config)
    writer.add_key_length(length)
    writer.add_value_length(length)
    writer.add_rope_dimension_count(length)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def position_factors(config: PreTrainedConfig) -> np.ndarray | None:
    """By what each frequency is divided, (head length / 2,), where Llama 3 has stretched the slow ones; else None."""
    if config.rope_parameters["rope_type"] != "llama3":
        return None
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    length = _head_length(config)
    plain = config.rope_parameters["rope_theta"] ** -(torch.arange(0, length, 2, dtype=torch.float32) / length)
    return (plain / scaled).float().numpy()


def _head_length(config: PreTrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
