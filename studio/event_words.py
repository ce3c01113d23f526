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
    one, rows = "pair" if event.get("pairs") else "row", event.get("rows")
    counts = f"{words.whole(rows)} {one if rows == 1 else f'{one}s'}, {words.whole(event.get('tokens'))} tokens"
    held_out = f", {words.whole(event.get('held_out_rows'))} held out"
    return "dataset", f"Data ready · {counts}{held_out}{again}", ""


def _training(event: Row) -> tuple[str, str, str]:
    device = plain(f"{event.get('device', '')} {event.get('precision', '')}".strip())
    total = event.get("total_steps")
    steps = f"{words.whole(total)} {words.noun(total, 'step')}"
    return "play_arrow", f"Training started · {steps} · {device}", ""


def _left_out(event: Row) -> tuple[str, str, str]:
    return "content_cut", f"Left out of the model · {plain(str(event.get('layers', '')))}", ""


def _held_out(event: Row) -> tuple[str, str, str] | None:
    if event.get("loss") is None:
        return "warning", f"Held-out loss is not a number at step {words.whole(event.get('step'))}", "Warnings"
    if not event.get("best") or not event.get("step"):
        return None
    return (
        "star",
        f"Best held-out loss so far · **{words.loss(event['loss'])}** at step {words.whole(event['step'])}{_preferred(event)}",
        "",
    )


def _preferred(event: Row) -> str:
    """Of a training on pairs: how many of the chosen answers are preferred."""
    share = event.get("preferred")
    return f", {words.percent(share)} preferred" if words.known(share) else ""


def _checkpoint(event: Row) -> tuple[str, str, str]:
    saved = f"Checkpoint saved · step {words.whole(event.get('step'))} · {words.size(event.get('size_bytes'))}"
    return "save", saved, "Checkpoints"


def _phase(event: Row) -> tuple[str, str, str] | None:
    said = {
        "queued": ("schedule", "Waiting for its turn"),
        "preparing": ("hourglass_top", "Preparing"),
        "stopping": ("stop_circle", "Stop requested"),
    }
    phase = str(event.get("phase"))
    return (*said[phase], "") if phase in said else None


def _resumed(event: Row) -> tuple[str, str, str]:
    step = event.get("step")
    where = f"Resumed from step {words.whole(step)}" if step else "Begun anew, from step 0"
    return "resume", where, "Checkpoints"


def _out_of_memory(event: Row) -> tuple[str, str, str]:
    again = ", activations computed again" if event.get("recomputes") else ""
    pieces = f"batch {words.whole(event.get('batch'))} × {words.whole(event.get('accumulation'))}{again}"
    return "memory", f"Out of memory at step {words.whole(event.get('step'))} · goes on with {pieces}", "Warnings"


def _ended(event: Row) -> tuple[str, str, str] | None:
    icons = {"finished": "check_circle", "stopped": "stop_circle", "failed": "error"}
    status, said = str(event.get("status")), plain(str(event.get("why", "")).split(". ")[0])
    return (icons[status], said, "") if status in icons else None


def _backed_up(event: Row) -> tuple[str, str, str]:
    what = f"Step {words.whole(event['step'])}" if words.known(event.get("step")) else "The result"
    also = " and the result" if event.get("has_result") and words.known(event.get("step")) else ""
    return "cloud_done", f"Safe on the Hub · {what.lower()}{also}", "Checkpoints"


def _restored(event: Row) -> tuple[str, str, str]:
    step = f" · step {words.whole(event['step'])}" if words.known(event.get("step")) else ""
    return "cloud_download", f"Restored from {plain(str(event.get('repository', 'the Hub')))}{step}", "Checkpoints"


WORDS: dict[str, Callable[[Row], tuple[str, str, str] | None]] = {
    "phase": _phase,
    "prepared": _prepared,
    "training": _training,
    "left_out": _left_out,
    "held_out": _held_out,
    "checkpoint": _checkpoint,
    "backed_up": _backed_up,
    "restored": _restored,
    "resumed": _resumed,
    "out_of_memory": _out_of_memory,
    "ended": _ended,
    "warning": lambda event: ("warning", plain(str(event.get("text", ""))), "Warnings"),
}
COLOURS = {
    "warning": "orange",
    "star": "orange",
    "save": "gray",
    "cloud_done": "green",
    "play_arrow": "blue",
    "resume": "blue",
    "memory": "orange",
}


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
