"""The `alpaca` layout: `instruction`, an `input` that may be empty, and `output`. Dolly's columns are mapped to it."""

from typing import Any

from core.data.checked import exchange
from core.data.conversation import Conversation, text
from core.data.formats.answer import answer
from core.data.passages import passages
from core.data.system_prompt import COLUMN, COLUMN_HELP

NAME = "alpaca"
TITLE = "instruction, input, output"
COLUMNS = {"instruction": "instruction", "input": "input", "output": "output"} | COLUMN
HELP = {
    "instruction": "The column with the question or the task.",
    "input": "The column with context that belongs to it. It may be missing.",
    "output": "The column with the answer that is learned.",
} | COLUMN_HELP
REQUIRED = ("instruction", "output")
ANSWER = "output"


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """Instruction and input as the user's turn, output as the assistant's; raises RowProblem."""
    question = text(row[columns["instruction"]], f"the column `{columns['instruction']}`")
    more = passages(row.get(columns["input"]), f"the column `{columns['input']}`")
    if more.strip():
        question += "\n\n" + more
    return exchange(question, answer(row, columns, ANSWER))
