"""A recipe on a machine, with what it leaves open settled: whether activations are kept or computed again. No torch."""

from dataclasses import replace

from core.hardware import Machine
from core.plan.correction import corrected_memory, known
from core.plan.fixes import changed
from core.plan.memory_plan import memory, share_fit
from core.plan.pace import pace_of
from core.plan.setting import Setting, as_asked
from core.plan.workload import assumed
from core.recipe import Recipe


def setting(recipe: Recipe, machine: Machine, room_bytes: float | None = None) -> Setting | None:
    """The recipe on this machine; None for a model of unknown shape. `room_bytes` as for `recomputes`."""
    asked = as_asked(recipe, machine)
    # Of up to three hundred measurements a page asks on every run, and those say what they did.
    if asked is None or recipe.training.activation_checkpointing != "auto":
        return asked
    return replace(asked, recipe=with_it_settled(recipe, recomputes(recipe, machine, room_bytes)))


def settled(recipe: Recipe, machine: Machine, room_bytes: float | None = None) -> Recipe:
    """The recipe with nothing left open; `room_bytes` as for `recomputes`."""
    return with_it_settled(recipe, recomputes(recipe, machine, room_bytes))


def recomputes(recipe: Recipe, machine: Machine, room_bytes: float | None = None) -> bool:
    """Whether activations are computed again: as asked; with `auto`, on a GPU that has no room to keep them.

    That is judged by rows as long as the recipe allows; `room_bytes` is what the device will have free, if other than now.
    """
    asked = recipe.training.activation_checkpointing
    if asked != "auto" or machine.device != "cuda":
        return asked == "on"
    room = machine.memory_free_bytes if room_bytes is None else room_bytes
    keeping = as_asked(with_it_settled(recipe, False), machine)
    return not keeping or share_fit(_needed(keeping, machine), room) != "fits"


def with_it_settled(recipe: Recipe, again: bool) -> Recipe:
    """The recipe that asks for what was decided."""
    return changed(recipe, {"training.activation_checkpointing": "on" if again else "off"})


def _needed(keeping: Setting, machine: Machine) -> int:
    """Bytes at the peak, by all that is known: also by what has not fitted once."""
    computed = memory(keeping, assumed(keeping.recipe))
    return corrected_memory(computed, known(keeping, machine, pace_of(machine)))[0].peak_bytes
