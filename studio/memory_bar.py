"""The memory plan as one bar: a part for each thing that takes memory, against what the device has free."""

from typing import Any

from core.plan.memory_plan import PARTS, MemoryPlan
from studio import charts, words

HEIGHT = 30


def colours() -> dict[str, str]:
    """The colour of each part, in the theme that the browser shows."""
    found = charts.palette()
    blue, orange, teal, *others = found.runs
    shades = {"activations": blue, "weights": teal, "optimizer": orange, "overhead": found.context}
    return shades | dict(zip(("trained", "gradients", "loss"), others, strict=True))


def memory_bar(plan: MemoryPlan, room_bytes: int) -> None:
    alt = f"{words.size(plan.peak_bytes)} of {words.size(room_bytes)}: " + ", ".join(
        f"{part} {words.size(size)}" for part, size in by_size(plan)
    )
    charts.show(memory_figure(plan, room_bytes), alt=alt, key="memory bar")


def by_size(plan: MemoryPlan) -> list[tuple[str, int]]:
    """The parts that take any, the largest first."""
    sizes = [(part, getattr(plan, part)) for part in PARTS]
    return sorted(((part, size) for part, size in sizes if size), key=lambda pair: -pair[1])


def memory_figure(plan: MemoryPlan, room_bytes: int) -> dict[str, Any]:
    """Stacked from the left; what is left of the bar is free."""
    layout = charts.frame(HEIGHT, left=0, right=0, top=2, bottom=2)
    whole = max(room_bytes, plan.peak_bytes)
    layout |= {"barmode": "stack", "bargap": 0, "hovermode": "closest"}
    layout |= {"plot_bgcolor": charts.palette().panel}
    layout["xaxis"] |= {"range": [0, whole], "visible": False}
    layout["yaxis"] |= {"visible": False}
    shades = colours()
    return {"data": [_part(part, size, shades[part]) for part, size in by_size(plan)], "layout": layout}


def _part(part: str, size: int, colour: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "x": [size],
        "y": [""],
        "marker": {"color": colour, "line": {"width": 0}},
        "hovertemplate": f"{part} {words.size(size)}<extra></extra>",
    }
