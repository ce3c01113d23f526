"""Pairs of answers in words that the toy tokenizer knows: the chosen one ends otherwise than the rejected one."""

import json
import random
from pathlib import Path

WORDS = ("the", "cat", "sat", "on", "a", "mat", "one", "two", "three")


def toy_pairs(count: int = 40, seed: int = 0) -> list[dict[str, str]]:
    """Rows of the layout `preference`; answers of different lengths."""
    draw = random.Random(seed)
    said = lambda most: " ".join(draw.choices(WORDS, k=draw.randint(2, most)))  # noqa: E731
    return [{"prompt": said(9), "chosen": f"{said(6)} yes", "rejected": f"{said(8)} no"} for _ in range(count)]


def write_pairs(folder: Path, rows: list[dict[str, str]] | None = None, name: str = "pairs.jsonl") -> Path:
    """A file of them."""
    file = folder / name
    file.write_text("".join(f"{json.dumps(row)}\n" for row in (toy_pairs() if rows is None else rows)))
    return file
