"""Whether a model fits into the memory that is free, and into what a training leaves: said before, not found out by a crash.

Reads files and the machine only; torch never.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from core import home
from core.errors import EngineError
from core.hardware import Machine, machine, memory_use_of
from core.jobs.folder import Job
from core.jobs.listing import training_now
from core.models.known_shape import shape_of
from core.plan.fits import WORKING_BYTES
from core.plan.forecast import forecast
from core.plan.plan import model_bytes
from core.plan.settled import with_it_settled
from core.recipe import Recipe

# Beside the weights: torch itself is there already; this is what a conversation and the adapters take.
CONVERSATION_BYTES = 300_000_000
# As the format allows; a broken file may claim more.
LONGEST_HEADER = 100_000_000
# Layers that stay in 16 bits when others are held in fewer.
KEPT = ("embed", "lm_head", "wte", "wpe")


@dataclass(frozen=True)
class Room:
    """What a model needs, what is free, and what a running training will still take of that; in bytes."""

    needed: int
    free: int
    reserved: int = 0
    training: str | None = None  # its name

    @property
    def enough(self) -> bool:
        return self.needed <= self.free - self.reserved

    @property
    def sentence(self) -> str:
        """What is needed, and what to do where it is not there."""
        needs = f"The model needs {_gb(self.needed)} of memory, and {_gb(self.free)} {_are(self.free)} free."
        if not self.training:
            return needs if self.enough else f"{needs} Choose a smaller model or fewer bits, or close other programs."
        shared = f"{self.training} is training and may take {_gb(self.reserved)} more of it."
        if self.enough:
            return f"{needs} {shared} Both share the machine: the training slows down while you chat."
        return f"{needs} {shared} Wait for its end, stop it, or choose a smaller model or fewer bits."


def room_for(folder: Path, bits: int) -> Room:
    """Whether the model in a folder fits now, in so many bits a weight."""
    return _room(weights_bytes(folder, bits))


def room_for_source(source: str, bits: int = 16, given_back: int = 0, drop_layers: int = 0) -> Room | None:
    """As `room_for`, for any base before it is downloaded, or without some layers; None for a model of unknown size.

    `given_back` are bytes that are not free yet, and will be before it is loaded.
    """
    known = shape_of(source)
    size = known.without(drop_layers).weights_bytes(bits) if known else model_bytes(source, bits)
    return _room(size, given_back) if size else None


def check(folder: Path, bits: int) -> None:
    """Raise EngineError where a model does not fit."""
    room = room_for(folder, bits)
    if not room.enough:
        raise EngineError(room.sentence)


def weights_bytes(folder: Path, bits: int) -> int:
    """What the tensors in a folder take in memory, in 16 bits or their linear layers in fewer; 0 for none."""
    shapes = [tensor for file in folder.glob("*.safetensors") for tensor in _tensors(file).items()]
    return sum(math.prod(shape) * _bits_of(name, shape, bits) // 8 for name, shape in shapes)


def _bits_of(name: str, shape: list[int], bits: int) -> int:
    return bits if len(shape) == 2 and not any(part in name for part in KEPT) else 16


def _tensors(file: Path) -> dict[str, list[int]]:
    """Name and shape of each tensor, by the header (github.com/huggingface/safetensors, "Format"); none where it is broken."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(min(length, LONGEST_HEADER)))
        return {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError):
        return {}  # whoever loads it says what is wrong with it


def _room(size: int, given_back: int = 0) -> Room:
    here = machine(home.home())
    job = training_now()
    needed, free = size + CONVERSATION_BYTES, here.memory_free_bytes + given_back
    return Room(needed, free, _still_to_take(job, here), job.name) if job else Room(needed, free)


def _still_to_take(job: Job, here: Machine) -> int:
    """What a training has had at its most and does not have now; before its first report, what is planned for it."""
    seen = [size for size in job.metrics["memory_bytes"] if size > 0]
    if seen:
        return max(0, int(max(seen) * 1.1 - seen[-1]))
    planned = forecast(_as_it_trains(job), here).memory
    expected = planned.peak_bytes if planned else (model_bytes(job.recipe.model.source, 32) or 0) + WORKING_BYTES
    return max(0, expected - (memory_use_of(job.worker.pid) if job.worker else 0))


def _as_it_trains(job: Job) -> Recipe:
    """Its recipe with what it has settled: what is free has changed since."""
    again = job.resolved.get("activation_checkpointing")
    return job.recipe if again is None else with_it_settled(job.recipe, again)


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def _are(size: int) -> str:
    return "is" if f"{size / 1e9:.1f}" == "1.0" else "are"
