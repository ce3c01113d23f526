"""The `question_answer` layout: `question`, `answer`, and a `context` that may be missing, as in GSM8K and PubMedQA."""

from typing import Any

from core.data.checked import exchange
from core.data.conversation import Conversation, text
from core.data.formats.answer import answer
from core.data.passages import passages
from core.data.system_prompt import COLUMN, COLUMN_HELP

NAME = "question_answer"
TITLE = "question and answer"
COLUMNS = {"question": "question", "context": "context", "answer": "answer"} | COLUMN
HELP = {
    "question": "The column with the question.",
    "context": "The column with what the answer is found in: text, or a list of texts. It may be missing.",
    "answer": "The column with the answer that is learned.",
} | COLUMN_HELP
REQUIRED = ("question", "answer")
ANSWER = "answer"


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """Question and context as the user's turn, the answer as the assistant's; raises RowProblem."""
    question = text(row[columns["question"]], f"the column `{columns['question']}`")
    context = passages(row.get(columns["context"]), f"the column `{columns['context']}`")
    if context.strip():
        question += "\n\n" + context
    return exchange(question, answer(row, columns, ANSWER))
