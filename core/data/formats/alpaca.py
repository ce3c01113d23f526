"""The `alpaca` layout: `instruction`, an `input` that may be empty, and `output`. Dolly's columns are mapped to it."""

from typing import Any

from core.data.checked import checked, exchange, listed
from core.data.conversation import Conversation, Message, RowProblem, text
from core.data.formats.answer import answer
from core.data.passages import passages
from core.data.system_prompt import COLUMN, COLUMN_HELP

NAME = "alpaca"
TITLE = "instruction, input, output"
COLUMNS = {"instruction": "instruction", "input": "input", "output": "output", "history": "history"} | COLUMN
HELP = {
    "instruction": "The column with the question or the task.",
    "input": "The column with context that belongs to it. It may be missing.",
    "output": "The column with the answer that is learned.",
    "history": "The column with what was said before, as pairs of a question and its answer, which is learned too. It may be "
    "missing.",
} | COLUMN_HELP
REQUIRED = ("instruction", "output")
ANSWER = "output"


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """Instruction and input as the user's turn, output as the assistant's, after the history; raises RowProblem."""
    question = text(row[columns["instruction"]], f"the column `{columns['instruction']}`")
    more = passages(row.get(columns["input"]), f"the column `{columns['input']}`")
    if more.strip():
        question += "\n\n" + more
    asked = exchange(question, answer(row, columns, ANSWER))
    before = _before(row.get(columns["history"]), columns["history"])
    return Conversation(checked([*before, *asked.messages], columns["history"])) if before else asked


def _before(value: Any, column: str) -> list[Message]:
    """The earlier turns, as LLaMA-Factory's data has them; a column of that name with anything else is another thing."""
    try:
        pairs = listed(value, f"the column `{column}`")
    except RowProblem:  # a text that begins with a bracket
        return []
    if not isinstance(pairs, list):
        return []
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise RowProblem(f"the column `{column}` is not a list of pairs, each a question and its answer")
    roles = ("user", "assistant")
    return [{"role": role, "content": said} for pair in pairs for role, said in zip(roles, pair, strict=True)]
