"""How much an export will take, and whether there is room for it: disk for what is written, memory for merging. No torch."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from core import home
from core.errors import JobError
from core.export.asked import NOTHING, Export, parts, precision_of_gguf
from core.hardware import machine
from core.inference.choices import ADAPTER_FILES
from core.jobs.folder import Job
from core.jobs.outcome import folder_of
from core.models.known_shape import trained_shape
from core.plan.plan import model_bytes
from core.training.methods import METHODS

BYTES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}
# Of a number. The last two share scales in blocks of 32, and with q4_1 the first and last layer are in q8_0: for a model of
# unknown shape they are taken for a sixth of it.
PRECISION_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "q8_0": 34 / 32, "q4_1": 0.7}
IN_4_BITS = 20 / 32
# What torch and the one layer that is being merged take beside the weights.
WORKING_BYTES = 1_000_000_000
SPARE_BYTES = 200_000_000
# As the format allows; a broken file may claim more.
LONGEST_HEADER = 100_000_000


def parameters_in(folder: Path) -> tuple[int, int]:
    """Numbers in a model folder's weights, and the bytes they take there (huggingface.co/docs/safetensors, "Format")."""
    found = [(math.prod(tensor["shape"]), BYTES.get(tensor["dtype"], 1)) for tensor in _tensors(folder)]
    return sum(count for count, _ in found), sum(count * size for count, size in found)


def merged_bytes(folder: Path, precision: str) -> int:
    """The size of a base model's folder once merged and written in a precision; `auto` is its own."""
    count, own = parameters_in(folder)
    return int(count * PRECISION_BYTES[precision]) if precision in PRECISION_BYTES else own


def expected_bytes(asked: Export, run: Job) -> int | None:
    """About what an export or a publication will take; None for a base of unknown size."""
    source, wanted = folder_of(run, asked.step, NOTHING), parts(asked, run.recipe)
    adapter = sum((source / name).stat().st_size for name in ADAPTER_FILES if (source / name).exists())
    if wanted == ("adapter",):
        return adapter
    count = _parameters(run, source)
    precision = precision_of_gguf(asked) if "gguf" in wanted else asked.precision
    known = count and _written_bytes(count, precision, run)
    return known and known + (adapter if "adapter" in wanted else 0)


def _written_bytes(count: int, precision: str, run: Job) -> int:
    """So many numbers in a precision; in 4 bits all but the first and last layer."""
    shape = trained_shape(run.recipe.model) if precision == "q4_1" else None
    if shape is None:
        return int(count * PRECISION_BYTES.get(precision, 2))
    between = shape.linear_parameters
    return int(between * IN_4_BITS + (count - between) * PRECISION_BYTES["q8_0"])


def _parameters(run: Job, source: Path) -> int | None:
    """Of the run's own model where it trained all of it, else of its base."""
    base = run.recipe.model.source
    if METHODS[run.recipe.lora.method].whole:
        return parameters_in(source)[0]
    if known := trained_shape(run.recipe.model):
        return known.parameters
    size = model_bytes(base)
    return size // 2 if size else None


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check_disk(needed: int, what: str) -> None:
    """Raise JobError where so many bytes are not free."""
    free = machine(home.home()).disk_free_bytes
    if free < needed + SPARE_BYTES:
        raise JobError(
            f"The disk has {_gb(free)} free, and {what} needs {_gb(needed + SPARE_BYTES)}. Make space under {home.home()}."
        )


def check_memory(folder: Path, precision: str) -> None:
    """Raise JobError where the model in a folder cannot be held while it is merged."""
    if lack := lack_of_memory(folder, precision):
        raise JobError(
            f"Merging {lack} Wait until nothing else is at work, close other programs, or take the adapter, which needs none."
        )


def lack_of_memory(folder: Path, precision: str) -> str | None:
    """What is said where the model in a folder cannot be held in a precision."""
    needed = max(parameters_in(folder)[1], merged_bytes(folder, precision)) + WORKING_BYTES
    free = machine(home.home()).ram_free_bytes
    return f"needs about {_gb(needed)} of memory, and {_gb(free)} are free." if free < needed else None


def _tensors(folder: Path) -> Iterator[dict]:
    for file in folder.glob("*.safetensors"):
        try:
            with file.open("rb") as opened:
                length = int.from_bytes(opened.read(8), "little")
                header = json.loads(opened.read(min(length, LONGEST_HEADER)))
            yield from [tensor for name, tensor in header.items() if name != "__metadata__"]
        except (OSError, ValueError, AttributeError):
            continue  # whoever loads it says what is wrong with it


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
