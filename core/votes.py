"""Blind votes: who was the better of several models that answered the same, while nobody knew their names."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from core import home
from core.chats import TIE, Messages, Turn
from core.files import append_line, end_last_line


@dataclass
class Tally:
    """Two models against each other, from the first one's side."""

    model: str
    against: str
    wins: int = 0
    ties: int = 0
    losses: int = 0


def vote(turn: Turn, prompt: Messages) -> None:
    """Write down what was chosen, by whom it was written, and what had been asked, as a hash."""
    winner = next((reply.model for reply in turn.answers if reply.id == turn.better), None)
    asked = hashlib.sha256(json.dumps(prompt, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
    row = {
        "time": time.time(),
        "models": [reply.model for reply in turn.answers],
        "labels": [reply.label for reply in turn.answers],
        "prompt": f"sha256:{asked}",
        "winner": winner or TIE,
        "seed": turn.seed,
        "turn": turn.id,
    }
    home.home().mkdir(parents=True, exist_ok=True)
    end_last_line(home.votes_file())
    append_line(home.votes_file(), row)


def tallies() -> list[Tally]:
    """Wins, ties and losses of each pair of models that met, the most votes first."""
    found: dict[tuple[str, str], Tally] = {}
    for row in _rows():
        names = dict(zip(row["models"], row["labels"], strict=True))
        for pair in combinations(sorted(names), 2):
            tally = found.setdefault(pair, Tally("", ""))
            tally.model, tally.against = names[pair[0]], names[pair[1]]
            tally.wins += row["winner"] == pair[0]
            tally.losses += row["winner"] == pair[1]
            tally.ties += row["winner"] == TIE
    met = [tally for tally in found.values() if tally.wins + tally.ties + tally.losses]
    return sorted(met, key=lambda tally: -(tally.wins + tally.ties + tally.losses))


def _rows() -> Iterator[dict[str, Any]]:
    """The votes; a line that is none, such as a last one that is being written, is passed over."""
    if not home.votes_file().exists():
        return
    for line in home.votes_file().read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and {"models", "labels", "winner"} <= row.keys():
            yield row
