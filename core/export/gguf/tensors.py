"""The tensors of a model as GGUF has them: their names, their numbers, and the order of rows that llama.cpp wants."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, LlamaFileType, TensorNameMap, get_tensor_name_map, quants
from gguf.constants import GGML_QUANT_SIZES
from safetensors import safe_open
from transformers import AutoConfig, PreTrainedConfig

from core.errors import ModelError
from core.export.gguf.families import Family, family_of
from core.models.load import Found

KINDS = {
    "fp32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "bf16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "fp16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "q4_1": (GGMLQuantizationType.Q4_1, LlamaFileType.MOSTLY_Q4_1),
}
# Every answer goes through them, and they suffer most from rounding.
FIRST_AND_LAST = ("token_embd.weight", "output.weight")
TRIED = (".weight", ".bias")


def config_of(found: Found) -> PreTrainedConfig:
    """A model's own settings."""
    return AutoConfig.from_pretrained(found.folder, trust_remote_code=found.code)


@dataclass(frozen=True)
class Tensor:
    """One of a model's tensors: where it lies, its name here and there, and how it will be written."""

    file: Path
    own: str
    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType

    @property
    def nbytes(self) -> int:
        block, size = GGML_QUANT_SIZES[self.kind]
        return int(np.prod(self.shape)) // block * size


@dataclass(frozen=True)
class Model:
    """A folder with a model in safetensors, and the numbers it is to be written in."""

    found: Found
    precision: str

    @cached_property
    def config(self) -> PreTrainedConfig:
        return config_of(self.found)

    @cached_property
    def family(self) -> Family:
        return family_of(self.config.model_type)

    @cached_property
    def tensors(self) -> list[Tensor]:
        """All of them; raises ModelError for one that llama.cpp has no name for.

        An output layer that is the embedding is in no file of transformers'; one that is there is its own, whatever the settings say.
        """
        return list(self._tensors())

    def _tensors(self) -> Iterator[Tensor]:
        names = get_tensor_name_map(self.family.arch, self.config.num_hidden_layers)
        for file in sorted(self.found.folder.glob("*.safetensors")):
            with safe_open(file, "pt") as opened:
                for own in sorted(opened.keys()):
                    shape = tuple(opened.get_slice(own).get_shape())
                    name = _name(names, own)
                    yield Tensor(file, own, name, shape, self._kind(name, shape))

    def _kind(self, name: str, shape: tuple[int, ...]) -> GGMLQuantizationType:
        """Vectors stay as they are; what cannot be cut into blocks keeps 16 bits."""
        kind = KINDS[self.precision][0]
        if len(shape) < 2:
            return GGMLQuantizationType.F32
        if kind == GGMLQuantizationType.Q4_1 and name in FIRST_AND_LAST:
            kind = GGMLQuantizationType.Q8_0
        return kind if shape[-1] % GGML_QUANT_SIZES[kind][0] == 0 else GGMLQuantizationType.F16

    def numbers(self, tensor: Tensor) -> np.ndarray:
        """A tensor as it is written: bytes, (rows, bytes a row), or fp32 and fp16 of its own shape."""
        with safe_open(tensor.file, "pt") as opened:
            found = opened.get_tensor(tensor.own).to(torch.float32)
        if self.family.less_one and tensor.name.endswith("norm.weight"):
            found += 1
        return quants.quantize(self._turned(tensor, found).numpy(), tensor.kind)

    def _turned(self, tensor: Tensor, found: torch.Tensor) -> torch.Tensor:
        """Queries and keys with the two halves of each head's rows taken in turn, where the family wants neighbours."""
        config = self.config
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(_part(tensor.name))
        if not self.family.neighbours or heads is None:
            return found
        halves = found.reshape(heads, 2, -1, *found.shape[1:])
        return halves.transpose(1, 2).reshape(found.shape).contiguous()


def _name(names: TensorNameMap, own: str) -> str:
    if found := names.get_name(own, TRIED):
        return found
    raise ModelError(
        f"llama.cpp has no place for {own} in a model of this kind. Export it merged, and use it with transformers."
    )


def _part(name: str) -> str:
    """blk.3.attn_q.weight -> attn_q"""
    return name.split(".")[-2]
