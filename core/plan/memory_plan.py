"""Memory of a training, part by part, by arithmetic. No torch.

On a GPU it is what torch reserves at most, and the driver's own; on a CPU what the worker's process holds at most.
"""

from dataclasses import dataclass, replace
from typing import Literal

from core.models.known_shape import shape_of
from core.plan import fitted
from core.plan.activations import given_bytes, kept_bytes
from core.plan.plan import STATE_BYTES
from core.plan.setting import Setting
from core.plan.workload import Batch, Workload
from core.training.speed import LABELS_AT_ONCE

# A plan that nothing was measured for may be 15 % off, so not all of the memory is promised.
COMFORTABLE, TIGHT = 0.85, 0.97
PARTS = ("weights", "trained", "gradients", "optimizer", "activations", "loss", "overhead")
# Bits of a weight in 4 bits with its scales (arXiv:2305.14314), and in 8 with one scale a row.
HELD_BITS = {4: 4.127, 8: 8.02}
# The tile of logits in TRL's fused loss (trl/kernels/chunked_logprob.py).
TILE_TOKENS, TILE_WORDS = 4096, 32768


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes by part at the worst moment."""

    weights: int
    trained: int
    gradients: int
    optimizer: int
    activations: int
    loss: int
    overhead: int

    @property
    def peak_bytes(self) -> int:
        return sum(getattr(self, part) for part in PARTS)

    @property
    def steady_bytes(self) -> int:
        """What is there whatever the batch."""
        return self.weights + self.trained + self.gradients + self.optimizer

    @property
    def moving_bytes(self) -> int:
        """What grows with the batch."""
        return self.activations + self.loss

    def grown(self, by: int) -> "MemoryPlan":
        """So much more overhead; what is less than none is taken off the activations."""
        overhead = self.overhead + by
        return replace(self, overhead=max(0, overhead), activations=max(0, self.activations + min(0, overhead)))

    def times(self, processes: int) -> "MemoryPlan":
        """As many of them in one memory."""
        return MemoryPlan(*(getattr(self, part) * processes for part in PARTS))


def share_fit(needed_bytes: float, room_bytes: float) -> Literal["fits", "tight", "too big"]:
    """The word for so much of so much."""
    if needed_bytes <= room_bytes * COMFORTABLE:
        return "fits"
    return "tight" if needed_bytes <= room_bytes * TIGHT else "too big"


def memory(setting: Setting, work: Workload) -> MemoryPlan:
    """The plan for a setting and its largest batch; for several processes on a CPU, of all of them."""
    weights, trained = _weights(setting), _trained(setting)
    gradients, optimizer = 4 * setting.trainable, _optimizer(setting)
    activations = kept_bytes(setting, work.largest) + _template_tokens(setting)
    loss = _loss(setting, work.largest)
    steady = weights + trained + gradients + optimizer
    slack = round(fitted.SLACK[setting.device] * (activations + loss))
    overhead = _base(setting) + slack + _momentary(setting, work.largest) + _updating(setting)
    loading = _base(setting) + max(_loading(setting), _leaving_out(setting))
    overhead += max(0, loading - steady - activations - loss - overhead)
    found = MemoryPlan(weights, trained, gradients, optimizer, activations, loss, overhead)
    return found.times(setting.recipe.launcher.processes) if setting.device == "cpu" else found


def _weights(setting: Setting) -> int:
    """The model as it is held: bitsandbytes shrinks the projections only, PEFT then makes the rest fp32.

    Layers that are computed together with their LoRA are held in 16 bits.
    """
    shape, bits = setting.shape, setting.method.bits
    if setting.method.whole:
        # In mixed precision each weight has a copy in 16 bits while a batch is worked on.
        return shape.parameters * (6 if setting.mixed else 4)
    if bits == 16:
        if setting.mixed:
            return 2 * shape.parameters
        short = sum(module.inputs * module.outputs for module in setting.adapted) if setting.in_one_step else 0
        return 4 * shape.parameters - 2 * short
    rest = shape.parameters - shape.linear_parameters
    return round(shape.linear_parameters * HELD_BITS[bits] / 8) + rest * 4


def _trained(setting: Setting) -> int:
    """The adapter in 32 bits, and where it is computed in 16, once more in those; a whole model is counted as its weights.

    And as all of it was at the start, where the objective stays near that (`core/training/reference.py`).
    """
    first = 4 if setting.recipe.objective.reference else 0
    now = 0 if setting.method.whole else 6 if setting.mixed or setting.in_one_step else 4
    return setting.trainable * (now + first)


def _optimizer(setting: Setting) -> int:
    """The optimiser's state: bytes for each weight, or Adafactor's sums of rows and columns."""
    optimizer = setting.recipe.training.optimizer
    if optimizer == "adafactor":
        return 4 * _rows_and_columns(setting)
    return STATE_BYTES.get(optimizer, 8) * setting.trainable


def _rows_and_columns(setting: Setting) -> int:
    """Rows and columns of all matrices that are trained (arXiv:1804.04235)."""
    if setting.method.whole:
        projections = setting.shape.projections.values()
        return setting.shape.layers * sum(map(sum, projections)) + setting.shape.vocab_size + setting.shape.hidden_size
    return sum(module.inputs + module.outputs + 2 * module.rank for module in setting.adapted)


def _template_tokens(setting: Setting) -> int:
    """Where the template's tokens learn, each pass makes an embedding with theirs in it."""
    shape = setting.shape
    return shape.vocab_size * shape.hidden_size * 4 if setting.recipe.lora.template_tokens else 0


def _loss(setting: Setting, batch: Batch) -> int:
    """A tile of logits, and what is fed into the output layer at the labels with its gradient.

    On a CPU a tile has every word and becomes its own slope (`cpu_loss`). TRL's fused loss (trl/kernels/chunked_logprob.py) has
    tiles of fewer, on a GPU in 16 bits with their slope in place, and a copy of their weights where those have 32. Smoothed
    labels need all logits at once, and their logarithms.
    """
    labels, words, hidden = batch.labels, setting.shape.vocab_size, setting.shape.hidden_size
    if setting.recipe.objective.pairs:
        return _likelihoods(setting, batch)
    if setting.speed.at_labels:
        return round(min(labels, LABELS_AT_ONCE) * words * 4 + labels * hidden * 4 * 2)
    if setting.recipe.training.label_smoothing:
        return round(batch.tokens * words * (2 + 4 + 4))
    tile, copied = min(words, TILE_WORDS), 0 if setting.short_between else min(words, TILE_WORDS) * hidden * 2
    each = 2 if setting.device == "cuda" and setting.mixed else 2 + 4 + 4
    return round(min(labels, TILE_TOKENS) * tile * each + labels * hidden * 8 + copied)


def _likelihoods(setting: Setting, batch: Batch) -> int:
    """The same of pairs (`core/training/likelihood.py`), whose logits in 16 bits get a copy in 32.

    Of several processes each has those of all positions, with their gradients, and their logarithms where there are labels.
    """
    labels, words, hidden = batch.labels, setting.shape.vocab_size, setting.shape.hidden_size
    short = 2 if setting.mixed else 0
    if not setting.speed.at_labels:
        return round(words * (batch.tokens * (4 + 4 + short) + labels * (4 + 4)))
    # Weights in 32 bits are there in 16 as well, and so is their gradient where they are trained.
    copied = 0 if setting.short_between else words * hidden * short * (2 if setting.method.whole else 1)
    return round(min(labels, LABELS_AT_ONCE) * words * (4 + short) + labels * hidden * 4 * 2 + copied)


def _momentary(setting: Setting, batch: Batch) -> int:
    """What is there while one layer's gradients are computed."""
    widest = max(setting.shape.intermediate_size, setting.shape.queries, setting.shape.hidden_size)
    found = batch.tokens * fitted.MOMENTARY_WIDTHS * widest * given_bytes(setting)
    # A GPU's blocks are used again: what the loss had is free when the layers' turn comes.
    return round(max(0, found - _loss(setting, batch)) if setting.device == "cuda" else found)


def _updating(setting: Setting) -> int:
    """Of the largest tensor that is trained: gradients beside the sum that they join, later its optimiser state in 32 bits."""
    if not setting.method.whole:
        return 0
    embedding, training = setting.shape.vocab_size * setting.shape.hidden_size, setting.recipe.training
    joining = 2 if training.accumulation > 1 else 0
    if setting.device != "cpu":
        return joining * 4 * embedding
    unpacked = fitted.UNPACKED_STATE_BYTES if training.optimizer == "adamw_8bit" else 0
    # As output layer it has a gradient of its own, where the two are one.
    return max(unpacked, (joining + 2) * 4) * embedding


def _base(setting: Setting) -> int:
    """The process, or the driver."""
    if setting.device == "cuda":
        return fitted.CUDA_CONTEXT_BYTES
    return fitted.CPU_PROCESS_BYTES


def _leaving_out(setting: Setting) -> int:
    """Of the whole model, while its layers are compared and it is written without some; 0 where it is trained as it is."""
    model = setting.recipe.model
    whole = shape_of(model.source, model.revision) if model.drop_layers else None
    return (2 if setting.device == "cuda" else 4) * whole.parameters if whole else 0


def _loading(setting: Setting) -> int:
    """Bytes while the model is loaded: its file, which is mapped on a CPU, beside what is made of it."""
    return _weights(setting) + (2 * setting.shape.parameters if setting.device != "cuda" else 0)
