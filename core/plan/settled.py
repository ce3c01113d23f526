"""A recipe on a machine, with what it leaves open settled: whether activations are kept or computed again. No torch."""

from dataclasses import replace

from core.hardware import Machine
from core.models.known_shape import shape_of
from core.plan.fixes import changed
from core.plan.memory_plan import memory, share_fit
from core.plan.setting import Setting
from core.plan.workload import assumed
from core.recipe import Recipe


def setting(recipe: Recipe, machine: Machine, room_bytes: float | None = None) -> Setting | None:
    """The recipe on this machine; None for a model of unknown shape. `room_bytes` as for `recomputes`."""
    asked = _setting(recipe, machine)
    # Of up to three hundred measurements a page asks on every run, and those say what they did.
    if asked is None or recipe.training.activation_checkpointing != "auto":
        return asked
    return replace(asked, recipe=with_it_settled(recipe, recomputes(recipe, machine, room_bytes)))


def recomputes(recipe: Recipe, machine: Machine, room_bytes: float | None = None) -> bool:
    """Whether activations are computed again: as asked; with `auto`, on a GPU that has no room to keep them.

    That is judged by rows as long as the recipe allows; `room_bytes` is what the device will have free, if other than now.
    """
    asked = recipe.training.activation_checkpointing
    if asked != "auto" or machine.device != "cuda":
        return asked == "on"
    room = machine.memory_free_bytes if room_bytes is None else room_bytes
    keeping = _setting(with_it_settled(recipe, False), machine)
    return not keeping or share_fit(memory(keeping, assumed(recipe)).peak_bytes, room) != "fits"


def with_it_settled(recipe: Recipe, again: bool) -> Recipe:
    """The recipe that asks for what was decided."""
    return changed(recipe, {"training.activation_checkpointing": "on" if again else "off"})


def _setting(recipe: Recipe, machine: Machine) -> Setting | None:
    shape = shape_of(recipe.model.source, recipe.model.revision)
    if shape is None:
        return None
    asked = recipe.training.precision
    precision = machine.precision.name if asked == "auto" else asked
    capability = machine.gpus[0].capability if machine.gpus else None
    return Setting(recipe, shape, machine.device, precision, capability, machine.cpu_bf16)
