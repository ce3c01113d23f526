"""What the backward pass needs of the forward pass: the tensors that autograd keeps of a gated decoder, counted in bytes.

Counted by reading transformers' Llama, PEFT's LoRA layer and PyTorch's dropout and attention, and held against what
autograd does keep in `tests/test_activations.py`.
"""

from core.training.setting import Setting
from core.training.trainable import Adapted
from core.training.workload import Batch


def kept_bytes(setting: Setting, batch: Batch) -> int:
    """Everything kept of a batch until its backward pass, without the loss: of every layer, and of the last norm."""
    layers, last = setting.layers_in_backward, _norm(setting)
    if setting.recomputes:
        # Each layer keeps its input; while one is computed again, all of that one is there.
        inputs = layers * setting.shape.hidden_size * _number_bytes(setting)
        return round(batch.tokens * (last + inputs + _widest(setting)))
    return round(batch.tokens * (last + sum(_layer(setting, layer) for layer in _layers(setting))))


def _layers(setting: Setting) -> range:
    return range(setting.shape.layers - setting.layers_in_backward, setting.shape.layers)


def _widest(setting: Setting) -> int:
    return max((_layer(setting, layer) for layer in _layers(setting)), default=0)


def _number_bytes(setting: Setting) -> int:
    return 2 if setting.mixed else 4


def _layer(setting: Setting, layer: int) -> int:
    """Bytes that one layer keeps of one token."""
    shape, number = setting.shape, _number_bytes(setting)
    attention = (2 * shape.queries + 2 * _keys_kept(setting)) * number + shape.heads * 4
    gated = 3 * shape.intermediate_size * number
    return 2 * _norm(setting) + attention + gated + _inputs(setting, layer)


def _norm(setting: Setting) -> int:
    """Its input and its scale; where it is trained, what it scales as well. All in 32 bits."""
    return setting.shape.hidden_size * (8 if setting.method.whole else 4) + 4


def _keys_kept(setting: Setting) -> int:
    """Numbers of a token's keys: those of a group of queries are kept once for each where rows are masked."""
    return setting.shape.queries if setting.padded else setting.shape.keys


def _inputs(setting: Setting, layer: int) -> int:
    """What the trained matrices keep of their inputs."""
    shape = setting.shape
    if setting.method.whole:
        attended = shape.queries if setting.by_conversation else 0
        return (2 * shape.hidden_size + attended + shape.intermediate_size) * _number_bytes(setting)
    modules = [module for module in setting.adapted if module.layer == layer]
    ranks = sum(module.rank for module in modules) * _number_bytes(setting)
    return ranks + (_dropped(setting, modules) if setting.recipe.lora.dropout else _shared(setting, modules))


def _dropped(setting: Setting, modules: list[Adapted]) -> int:
    """Each adapter drops numbers of its own: it keeps what is left, and which those are."""
    mask = 1 if setting.device == "cuda" else 4
    return sum(module.inputs * (_number_bytes(setting) + mask) for module in modules)


def _shared(setting: Setting, modules: list[Adapted]) -> int:
    """Without dropout they keep the same input; in 16 bits each casts it for itself."""
    if setting.mixed:
        return sum(module.inputs * 2 for module in modules)
    kept = {INPUT_OF[m.projection]: m.inputs * 4 for m in modules if m.projection in INPUT_OF}
    if not setting.by_conversation:
        kept.pop("attended", None)
    return sum(kept.values())


# Which projections see the same numbers. What was attended the attention itself keeps, unless it is put together of parts.
INPUT_OF = {
    "o_proj": "attended",
    "q_proj": "normed",
    "k_proj": "normed",
    "v_proj": "normed",
    "gate_proj": "normed again",
    "up_proj": "normed again",
    "down_proj": "gated",
}
