"""A model's folder as one GGUF file, for llama.cpp and all that is built on it: Ollama, LM Studio and others.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. One tensor at a time is in memory.
"""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_VERSION, MODEL_ARCH_NAMES

from core.errors import ModelError
from core.export.gguf.families import check_family
from core.export.gguf.positions import check_positions, position_factors, write_positions
from core.export.gguf.tensors import KINDS, Model, config_of
from core.export.gguf.vocabulary import rule_of, write_vocabulary
from core.models.load import Found, load_tokenizer
from core.models.progress import Progress


def check_known(found: Found) -> None:
    """Raise ModelError where llama.cpp could not read such a model, whatever its weights."""
    config = config_of(found)
    check_family(config)
    check_positions(config)
    rule_of(load_tokenizer(found))


def write_gguf(model: Model, name: str, target: Path, tell: Progress) -> None:
    """Write the whole file of a model that is known; raises ModelError where its weights have no place or no number there."""
    writer = GGUFWriter(target, MODEL_ARCH_NAMES[model.family.arch])
    _write_about(writer, model, name)
    write_positions(writer, model.config)
    write_vocabulary(writer, load_tokenizer(model.found), model.config.vocab_size)
    factors = position_factors(model.config)
    if factors is not None:
        writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
    for tensor in model.tensors:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.nbytes, tensor.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if factors is not None:
        writer.write_tensor_data(factors)
    for number, tensor in enumerate(model.tensors):
        tell("Writing the GGUF file", number, len(model.tensors))
        writer.write_tensor_data(_finite(model.numbers(tensor)))
    writer.close()


def _write_about(writer: GGUFWriter, model: Model, name: str) -> None:
    config = model.config
    writer.add_name(name)
    writer.add_file_type(KINDS[model.precision][1])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _finite(numbers: np.ndarray) -> np.ndarray:
    if numbers.dtype == np.float16 and not np.isfinite(numbers).all():
        raise ModelError("Some weights are too large for fp16. Choose bf16, which has the same size, or fp32.")
    return numbers
