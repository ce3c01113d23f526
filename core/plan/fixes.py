"""The smallest change that makes a training fit: each is tried by the plan itself, the least intrusive first. No torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core.hardware import Device
from core.recipe import Recipe, value_at
from core.recipe_training import TrainingSection
from core.training.methods import METHODS

Changes = dict[str, Any]
SHORTEST = 256
LOWEST_RANK = 4
MOST_ACCUMULATION = next(
    limit.le for limit in TrainingSection.model_fields["accumulation"].metadata if hasattr(limit, "le")
)


@dataclass(frozen=True)
class Fix:
    """Key path -> value for what is to be changed, and what the training needs then."""

    changes: Changes
    needed_bytes: int


def smallest_fix(
    recipe: Recipe, room_bytes: float, device: Device, needed: Callable[[Recipe], int | None]
) -> Fix | None:
    """The first change, in the order of `candidates`, with which the recipe needs no more than the room; None if none does."""
    for changes in candidates(recipe, device):
        size = needed(changed(recipe, changes))
        if size is not None and size <= room_bytes:
            return Fix(changes, size)
    return None


def candidates(recipe: Recipe, device: Device) -> Iterator[Changes]:
    """What trains the same in smaller pieces, what is only slower, then what learns a little differently; one, then all."""
    bits = (_adapter,) if device == "mps" else (_optimizers, _adapter, _bits)  # bitsandbytes does not run there
    ladder = [list(rungs(recipe)) for rungs in (_batches, _recomputing, *bits, _ranks, _lengths)]
    for steps in ladder[:-1]:
        yield from steps
    together: Changes = {}
    for steps in ladder:
        for step in steps:
            together = together | step
            yield dict(together)


def changed(recipe: Recipe, changes: Changes) -> Recipe:
    """The recipe with these values."""
    for path, value in changes.items():
        section, name = path.split(".")
        inner = getattr(recipe, section).model_copy(update={name: value})
        recipe = recipe.model_copy(update={section: inner})
    return recipe


def _batches(recipe: Recipe) -> Iterator[Changes]:
    """Fewer conversations at once, as many in a step."""
    batch, accumulation = recipe.training.batch, recipe.training.accumulation
    for size in range(batch - 1, 0, -1):
        if batch % size == 0 and accumulation * batch // size <= MOST_ACCUMULATION:
            yield {"training.batch": size, "training.accumulation": accumulation * batch // size}


def _recomputing(recipe: Recipe) -> Iterator[Changes]:
    if recipe.training.activation_checkpointing != "on":
        yield {"training.activation_checkpointing": "on"}


def _optimizers(recipe: Recipe) -> Iterator[Changes]:
    if recipe.training.optimizer in ("auto", "adamw"):
        yield {"training.optimizer": "adamw_8bit"}


def _adapter(recipe: Recipe) -> Iterator[Changes]:
    """Instead of the whole model."""
    if METHODS[recipe.lora.method].whole:
        yield {"lora.method": "lora"}


def _bits(recipe: Recipe) -> Iterator[Changes]:
    """The base model in fewer."""
    if METHODS[recipe.lora.method].bits > 4:
        yield {"lora.method": "qlora"}


def _ranks(recipe: Recipe) -> Iterator[Changes]:
    rank, alpha = value_at(recipe, "lora.rank"), value_at(recipe, "lora.alpha")
    while rank // 2 >= LOWEST_RANK:
        rank, alpha = rank // 2, max(1, alpha // 2)
        yield {"lora.rank": rank, "lora.alpha": alpha}


def _lengths(recipe: Recipe) -> Iterator[Changes]:
    length = recipe.data.max_length
    while length // 2 >= SHORTEST:
        length //= 2
        yield {"data.max_length": length}
