"""The plan for the terminal: plain figures for scripts, lines for a person."""

from typing import Any

from core import home
from core.hardware import IMITATED, machine
from core.plan.correction import Basis
from core.plan.fixes import smallest_fix
from core.plan.forecast import forecast, peak_bytes
from core.plan.memory_plan import PARTS
from core.recipe import Recipe

SAID = {"computed": "computed, about", "scaled": "computed, corrected by {}", "measured": "measured by {}"}


def figures(recipe: Recipe) -> dict[str, Any]:
    """Everything that is planned, in plain values; None where it is not known."""
    here = machine(home.home())
    found = forecast(recipe, here)
    memory, time = found.memory, found.time
    fix = None
    if found.fit == "too big":
        fix = smallest_fix(recipe, found.room_bytes, here.device, lambda other: peak_bytes(other, found, here))
    return {
        "device": here.device_name,
        "warning": IMITATED if here.imitates(recipe.training.precision) else None,
        "memory_bytes": memory.peak_bytes if memory else None,
        "memory_parts": {part: getattr(memory, part) for part in PARTS} if memory else None,
        "memory_basis": said(found.memory_basis),
        "room_bytes": found.room_bytes,
        "fit": found.fit,
        "fix": fix.changes if fix else None,
        "seconds": time.total_s if time else None,
        "step_seconds": time.step_s if time else None,
        "time_basis": said(found.time_basis),
        "steps": found.plan.steps,
        "tokens": found.plan.tokens,
        "trainable": found.plan.trainable,
        "checkpoints": found.plan.checkpoints,
        "disk_bytes": found.plan.disk_bytes,
        "counted": found.counted,
    }


def page(found: dict[str, Any]) -> str:
    """The same, to read."""
    lines = [f"Device        {found['device']}"]
    if found["warning"]:
        lines.append(f"Warning       {found['warning']}")
    if found["memory_bytes"]:
        size, room = (found[name] / 1e9 for name in ("memory_bytes", "room_bytes"))
        lines.append(f"Memory        {size:.1f} of {room:.1f} GB free: {found['fit']} ({found['memory_basis']})")
        lines += [f"  {part:<12}{size / 1e9:.2f} GB" for part, size in found["memory_parts"].items() if size]
    if found["fix"]:
        lines.append("Fits with     " + ", ".join(f"{path}={value}" for path, value in found["fix"].items()))
    if found["seconds"]:
        lines.append(f"Time          {found['seconds'] / 60:.1f} min ({found['time_basis']})")
    for name in ("steps", "tokens", "trainable", "checkpoints"):
        lines.append(f"{name.capitalize():<14}" + (f"{found[name]:,}" if found[name] else "not known yet"))
    return "\n".join([*lines, f"Disk          {found['disk_bytes'] / 1e9:.2f} GB"])


def said(basis: Basis) -> str:
    """Where a figure comes from."""
    return SAID[basis.kind].format(f"a {basis.measurement.source}" if basis.measurement else "")
