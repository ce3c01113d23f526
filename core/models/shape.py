"""A model's shape, as its config.json gives it: what its memory and its speed follow from. No torch, no network."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

# Model types whose layers are the seven projections around grouped-query attention and a gated MLP.
GATED_DECODERS = frozenset(
    [
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "smollm3",
        "olmo",
        "olmo2",
        "granite",
        "cohere",
        "ministral",
    ]
)
# Those that share the embedding with the output layer unless their configuration says otherwise.
TIED = frozenset(["gemma", "gemma2", "gemma3", "gemma3_text", "cohere"])
# The names of a shape in a config.json.
NAMES = {
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "intermediate_size": "intermediate_size",
    "heads": "num_attention_heads",
    "vocab_size": "vocab_size",
    "context": "max_position_embeddings",
}


class Shape(BaseModel):
    """The sizes of a decoder; `parameters` counts a tied embedding once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: PositiveInt = Field(description="a tied embedding counts once")
    context: PositiveInt = Field(description="longest sequence, in tokens")
    hidden_size: PositiveInt
    layers: PositiveInt
    intermediate_size: PositiveInt
    heads: PositiveInt
    kv_heads: PositiveInt
    head_dim: PositiveInt
    vocab_size: PositiveInt
    tied_embeddings: bool = Field(True, description="the output layer is the embedding itself")

    @property
    def queries(self) -> int:
        """Numbers of all query heads of a token."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Numbers of all key heads of a token; as many are values."""
        return self.kv_heads * self.head_dim

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """The seven linear maps of one layer, as (inputs, outputs): what `all-linear` means for LoRA."""
        hidden, inner = self.hidden_size, self.intermediate_size
        return {
            "q_proj": (hidden, self.queries),
            "k_proj": (hidden, self.keys),
            "v_proj": (hidden, self.keys),
            "o_proj": (self.queries, hidden),
            "gate_proj": (hidden, inner),
            "up_proj": (hidden, inner),
            "down_proj": (inner, hidden),
        }

    @property
    def linear_parameters(self) -> int:
        """Weights inside the projections of all layers; the rest are embeddings, output layer and norms."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.projections.values())

    def without(self, layers: int) -> "Shape":
        """The same with so many layers less; one stays, whatever was asked."""
        left_out = min(layers, self.layers - 1)
        of_layer = self.linear_parameters // self.layers + 2 * self.hidden_size
        return self.model_copy(
            update={"layers": self.layers - left_out, "parameters": self.parameters - left_out * of_layer}
        )

    def weights_bytes(self, bits: int = 16) -> int:
        """Bytes of the loaded weights, without quantisation constants (0.13 bit a weight, QLoRA, arXiv:2305.14314).

        Below 16 bits only the projections shrink: bitsandbytes leaves embeddings, output layer and norms at 16.
        """
        if bits >= 16:
            return self.parameters * bits // 8
        return self.linear_parameters * bits // 8 + (self.parameters - self.linear_parameters) * 2


def shape_in(config: dict[str, Any] | None) -> Shape | None:
    """The shape in a config.json; None for a kind of model that is built in another way, or a file that is none."""
    config = config or {}
    kind = config.get("model_type")
    inner = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    if kind not in GATED_DECODERS:
        return None
    found = {name: inner.get(there) for name, there in NAMES.items()}
    found["kv_heads"] = inner.get("num_key_value_heads") or found["heads"]
    tied = inner.get("tie_word_embeddings", config.get("tie_word_embeddings", kind in TIED))
    try:
        head_dim = inner.get("head_dim") or found["hidden_size"] // found["heads"]
        shape = Shape(**found, head_dim=head_dim, tied_embeddings=tied, parameters=1)
    except (TypeError, ZeroDivisionError, ValidationError):
        return None
    return shape.model_copy(update={"parameters": _parameters(shape)})


def _parameters(shape: Shape) -> int:
    """All weights: embeddings, projections and two norms a layer; what only some kinds add is under a thousandth."""
    embeddings = shape.vocab_size * shape.hidden_size * (1 if shape.tied_embeddings else 2)
    return embeddings + shape.linear_parameters + (2 * shape.layers + 1) * shape.hidden_size
