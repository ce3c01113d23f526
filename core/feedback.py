"""What people thought of answers, as data sets that a training reads: plain JSON lines under `$STUDIO_HOME/feedback`.

`chat` has a conversation for each answer that was kept or corrected, `chat-pairs` a better and a worse answer to the same
prompt. A row also says what it is about, whose answer it was, when and why it came. What is said of an answer again takes
the place of what was said before. Earlier answers of a conversation are there to be read, not to be learned.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from core import home
from core.data.checked import read_only
from core.files import append_line, end_last_line, write_whole

CONVERSATIONS, PAIRS = "chat", "chat-pairs"
TITLES = {CONVERSATIONS: "Feedback from chat", PAIRS: "Feedback from chat, in pairs"}

Messages = list[dict[str, Any]]
Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """An answer that was given: its own id, what the model had read, what it said, and who it is.

    One that is not `whole` was cut or stopped: learned from, it would teach to end in the middle of a sentence.
    """

    id: str
    prompt: Messages
    text: str
    model: str
    whole: bool = True


@dataclass(frozen=True)
class FeedbackSet:
    """One file of feedback: its rows, and how many there are of each kind."""

    name: str
    rows: int
    kinds: dict[str, int]

    @property
    def source(self) -> str:
        """As a recipe names it."""
        return f"feedback/{self.name}.jsonl"

    @property
    def title(self) -> str:
        return title_of(home.feedback_file(self.name))


def title_of(path: Path) -> str | None:
    """What a file of feedback is called on the page; None for any other file."""
    return TITLES.get(path.stem, path.name) if path.parent == home.feedback_folder() else None


def give(answer: Answer, liked: bool | None, correction: str | None) -> None:
    """Keep what was thought of an answer. What is not liked alone teaches nothing: it needs a better answer."""
    liked_text = answer.text if liked and answer.whole else None
    good, kind = (correction, "corrected") if correction else (liked_text, "liked")
    facts = _facts(answer.id, answer.model, kind)
    said = [{"messages": [*read_only(answer.prompt), *_said(good)]} | facts] if _say(good) else []
    pairs = [_pair(answer.prompt, correction, answer.text) | facts] if _say(correction, answer.text) else []
    _put(answer.id, {CONVERSATIONS: said, PAIRS: pairs})


def prefer(about: str, better: Answer | None, others: list[Answer]) -> None:
    """Keep which of several answers is the better one, under the id of their question; None takes it back."""
    pairs = []
    if better and better.whole:
        facts = _facts(about, better.model, "preferred")
        said = [other for other in others if _say(better.text, other.text)]
        worse = [other for other in said if other.text.strip() != better.text.strip()]
        pairs = [_pair(better.prompt, better.text, other.text) | facts | {"over": other.model} for other in worse]
    _put(about, {PAIRS: pairs})


def feedback_sets() -> list[FeedbackSet]:
    """The sets that have rows, by name."""
    files = sorted(home.feedback_folder().glob("[!.]*.jsonl"))
    return [found for path in files if (found := feedback_set(path)) and found.rows]


def feedback_set(path: Path) -> FeedbackSet | None:
    """The set in a file of the feedback folder; None for any other file."""
    if not title_of(path) or not path.is_file():
        return None
    stat = path.stat()
    return _counted(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _counted(path: Path, changed_ns: int, size_bytes: int) -> FeedbackSet:
    kinds = Counter(str(row.get("kind", "other")) for row in _rows(_lines(path)))
    return FeedbackSet(path.stem, kinds.total(), dict(kinds))


def _facts(about: str, model: str, kind: str) -> Row:
    return {"kind": kind, "model": model, "time": datetime.now(UTC).isoformat(timespec="seconds"), "about": about}


def _say(*answers: str | None) -> bool:
    """Whether none is blank: preparing would refuse the row, and all others where they are few."""
    return all(answer and answer.strip() for answer in answers)


def _pair(prompt: Messages, chosen: str, rejected: str) -> Row:
    return {"prompt": read_only(prompt), "chosen": _said(chosen), "rejected": _said(rejected)}


def _said(text: str) -> Messages:
    return [{"role": "assistant", "content": text}]


def _put(about: str, sets: dict[str, list[Row]]) -> None:
    """Let these be the rows about one thing, in each set; a line is appended, where none has to go."""
    home.feedback_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(home.feedback_lock()):
        for name, rows in sets.items():
            path = home.feedback_file(name)
            lines = _lines(path)
            others = [line for line in lines if all(row.get("about") != about for row in _rows([line]))]
            if len(others) < len(lines):
                written = [json.dumps(row, ensure_ascii=False) for row in rows]
                write_whole(path, "".join(f"{line}\n" for line in others + written))
            else:
                end_last_line(path)
                for row in rows:
                    append_line(path, row)


def _lines(path: Path) -> list[str]:
    """The lines that hold something. Not `splitlines`: a text may hold other signs that end a line."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if line.strip()]


def _rows(lines: list[str]) -> Iterator[Row]:
    """The objects among the lines: a person may have edited the file."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row
