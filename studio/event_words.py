"""What happened in a run, in words: one line for each event that a person cares about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from studio import words
from studio.markdown import plain

Row = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of the list; `text` is Markdown, `kind` is what the list can be narrowed to."""

    time: float
    icon: str
    text: str
    kind: str = ""


def _prepared(event: Row) -> tuple[str, str, str]:
    again = ", found from before" if event.get("cached") else ""
    counts = f"{words.whole(event.get('rows'))} rows, {words.whole(event.get('tokens'))} tokens"
    held_out = f", {words.whole(event.get('held_out_rows'))} held out"
    return "dataset", f"Data ready · {counts}{held_out}{again}", ""


def _training(event: Row) -> tuple[str, str, str]:
    device = plain(f"{event.get('device', '')} {event.get('precision', '')}".strip())
    return "play_arrow", f"Training started · {words.whole(event.get('total_steps'))} steps · {device}", ""


def _held_out(event: Row) -> tuple[str, str, str] | None:
    if event.get("loss") is None:
        return "warning", f"Held-out loss is not a number at step {words.whole(event.get('step'))}", "Warnings"
    if not event.get("best") or not event.get("step"):
        return None
    return (
        "star",
        f"Best held-out loss so far · **{words.loss(event['loss'])}** at step {words.whole(event['step'])}",
        "",
    )


def _checkpoint(event: Row) -> tuple[str, str, str]:
    saved = f"Checkpoint saved · step {words.whole(event.get('step'))} · {words.size(event.get('size_bytes'))}"
    return "save", saved, "Checkpoints"


def _phase(event: Row) -> tuple[str, str, str] | None:
    said = {"preparing": ("hourglass_top", "Preparing"), "stopping": ("stop_circle", "Stop requested")}
    return (*said[event["phase"]], "") if event.get("phase") in said else None


WORDS: dict[str, Callable[[Row], tuple[str, str, str] | None]] = {
    "phase": _phase,
    "prepared": _prepared,
    "training": _training,
    "held_out": _held_out,
    "checkpoint": _checkpoint,
    "warning": lambda event: ("warning", plain(event.get("text", "")), "Warnings"),
}
COLOURS = {"warning": "orange", "star": "orange", "save": "gray", "play_arrow": "blue"}


def lines_of(events: list[Row], kind: str | None = None, longest: int = 9) -> list[Line]:
    """The newest events first, at most `longest`, of one kind where one is named."""
    found: list[Line] = []
    for event in reversed(events):
        said = WORDS[event["event"]](event) if event.get("event") in WORDS else None
        if said and kind in (None, said[2]):
            found.append(Line(event.get("time", 0.0), *said))
        if len(found) == longest:
            break
    return found


def markdown_of(line: Line, clock: str) -> str:
    icon = f":material/{line.icon}:"
    colour = COLOURS.get(line.icon)
    return f":gray[{clock}] {f':{colour}[{icon}]' if colour else icon} {line.text}"
