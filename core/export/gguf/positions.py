"""How a model knows where in a text a token stands, as llama.cpp is told of it: rotary embeddings, their scaling, windows."""

from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter, RopeScalingType
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from core.errors import ModelError
from core.export.gguf.families import not_here

# Scalings that llama.cpp takes as factors of its own frequencies, or as one number.
KNOWN = ("default", "linear", "llama3")
# Layers that look back a certain way only; in llama.cpp a family either has them or has not.
NEAR, FAR = "sliding_attention", "full_attention"


def check_positions(config: PreTrainedConfig) -> None:
    """Raise ModelError for a scaling that is not known, and for scores that llama.cpp would compute otherwise."""
    kind = _rope(config)["rope_type"]
    if kind not in KNOWN:
        raise ModelError(not_here(f"scales positions by {kind}"))
    if getattr(config, "query_pre_attn_scalar", _head_length(config)) != _head_length(config):
        raise ModelError(not_here("scales attention by another number than a head's length"))
    window = getattr(config, "sliding_window", None)
    if window and window < config.max_position_embeddings and NEAR not in config.rope_parameters:
        raise ModelError(not_here(f"looks back {window:,} tokens only"))


def write_positions(writer: GGUFWriter, config: PreTrainedConfig) -> None:
    """Add a head's length, its frequencies, and how far which layers look back."""
    rope, length = _rope(config), _head_length(config)
    writer.add_key_length(length)
    writer.add_value_length(length)
    writer.add_rope_dimension_count(length)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if near := config.rope_parameters.get(NEAR):
        writer.add_sliding_window(config.sliding_window)
        writer.add_sliding_window_pattern([kind == NEAR for kind in config.layer_types])
        writer.add_rope_freq_base_swa(near["rope_theta"])


def position_factors(config: PreTrainedConfig) -> np.ndarray | None:
    """By what each frequency is divided, (head length / 2,), where Llama 3 has stretched the slow ones; else None."""
    rope, length = _rope(config), _head_length(config)
    if rope["rope_type"] != "llama3":
        return None
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = rope["rope_theta"] ** -(torch.arange(0, length, 2, dtype=torch.float32) / length)
    return (plain / scaled).float().numpy()


def _rope(config: PreTrainedConfig) -> dict[str, Any]:
    """Of the layers that see everything."""
    return config.rope_parameters.get(FAR, config.rope_parameters)


def _head_length(config: PreTrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
