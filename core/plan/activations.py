"""What the backward pass needs of the forward pass: the tensors that autograd keeps of a gated decoder, counted in bytes.

Counted by reading transformers' Llama, PEFT's LoRA layer and PyTorch's dropout and attention, and held against what
autograd does keep in `tests/test_activations.py`.
"""

from core.plan.setting import Setting
from core.plan.trainable import Adapted
from core.plan.workload import Batch


def kept_bytes(setting: Setting, batch: Batch) -> int:
    """Everything kept of a batch until its backward pass, without the loss: of every layer, and of the last norm."""
    layers, last = setting.layers_in_backward, _norm(setting)
    if setting.recomputes:
        # Each layer keeps its input; while one is computed again, all of that one is there.
        inputs = layers * setting.shape.hidden_size * _number_bytes(setting)
        return round(batch.tokens * (last + inputs + layer_bytes(setting)))
    return round(batch.tokens * (last + sum(_layer(setting, layer) for layer in _layers(setting))))


def _layers(setting: Setting) -> range:
    return range(setting.shape.layers - setting.layers_in_backward, setting.shape.layers)


def layer_bytes(setting: Setting) -> int:
    """What the layer that keeps most keeps of one token."""
    return max((_layer(setting, layer) for layer in _layers(setting)), default=0)


def _number_bytes(setting: Setting) -> int:
    return 2 if setting.mixed else 4


def given_bytes(setting: Setting) -> int:
    """Of each number that a projection gives: one in 4 or 8 bits gives what it is given, which is 32 bits (`short_between`)."""
    return 2 if setting.mixed and setting.method.bits == 16 else 4


def _layer(setting: Setting, layer: int) -> int:
    """Bytes that one layer keeps of one token: two norms, attention, the gated part, and for what is trained."""
    return 2 * _norm(setting) + _attention(setting) + _gated(setting) + _inputs(setting, layer)


def _norm(setting: Setting) -> int:
    """Its input and its scale; where it is trained, what it scales as well. All in 32 bits, but for what goes into a fused one."""
    if setting.fused:
        return setting.shape.hidden_size * (2 if setting.short_between else 4) + 4
    return setting.shape.hidden_size * (8 if setting.method.whole else 4) + 4


def _gated(setting: Setting) -> int:
    """What both projections give and what the activation function makes of one; the first two only where that is made again."""
    width = setting.shape.intermediate_size
    if setting.keeps_short:
        return 2 * width * 2
    return (2 if setting.fused else 3) * width * given_bytes(setting)


def _attention(setting: Setting) -> int:
    """Queries, keys and values; PyTorch's own also its result, and the keys once for each query where rows are masked."""
    shape, number = setting.shape, _number_bytes(setting)
    if setting.by_own_products:
        return (shape.queries + 2 * shape.keys) * (2 if setting.speed.products.name == "bf16" else number)
    keys = shape.queries if setting.padded else shape.keys
    return (2 * shape.queries + 2 * keys) * number + shape.heads * 4


def _inputs(setting: Setting, layer: int) -> int:
    """What the trained matrices keep of their inputs."""
    if setting.method.whole:
        shape = setting.shape
        attended = shape.queries if setting.by_own_products else 0
        return (2 * shape.hidden_size + attended + shape.intermediate_size) * _number_bytes(setting)
    modules = [module for module in setting.adapted if module.layer == layer]
    return _ranks(setting, modules) + _magnitudes(setting, modules) + _fed(setting, modules)


def _ranks(setting: Setting, modules: list[Adapted]) -> int:
    """What comes out of the first matrix."""
    return sum(module.rank for module in modules) * (2 if setting.in_one_step else _number_bytes(setting))


def _magnitudes(setting: Setting, modules: list[Adapted]) -> int:
    """DoRA scales what the layer gives and what the adapter gives, and keeps both."""
    if not setting.method.config.get("use_dora"):
        return 0
    return sum(module.outputs for module in modules) * 2 * _number_bytes(setting)


def _fed(setting: Setting, modules: list[Adapted]) -> int:
    """What is fed into the first matrix, and which of it was dropped."""
    drops = bool(setting.recipe.lora.dropout)
    if setting.in_one_step:
        mask = sum(module.inputs for module in modules) if drops else 0
        # On a GPU they are 16 bits already, and what was attended is the very tensor that the attention keeps.
        kept = {name: size for name, size in _shared(modules).items() if name != "attended" or setting.device != "cuda"}
        return 2 * sum(kept.values()) + mask
    if drops:
        mask = 1 if setting.device == "cuda" else 4
        return sum(module.inputs for module in modules) * (_number_bytes(setting) + mask)
    if setting.mixed:  # each casts it for itself
        return sum(module.inputs for module in modules) * 2
    return 4 * sum(size for name, size in _shared(modules).items() if name != "attended" or setting.by_own_products)


def _shared(modules: list[Adapted]) -> dict[str, int]:
    """Numbers of each input that one or several of the modules see."""
    return {INPUT_OF[module.projection]: module.inputs for module in modules}


# Which projections see the same numbers. What was attended PyTorch's own attention keeps anyway.
INPUT_OF = {
    "q_proj": "normed",
    "k_proj": "normed",
    "v_proj": "normed",
    "o_proj": "attended",
    "gate_proj": "normed again",
    "up_proj": "normed again",
    "down_proj": "gated",
}
