"""The `preference` layout of DPO data: of two answers to a prompt, the chosen one is learned and the other not used.

The prompt may be a column of its own, or the beginning of the chosen conversation; Anthropic's hh-rlhf has it in marks.
"""

from typing import Any

from core.data.checked import checked, turns, unpacked
from core.data.conversation import Conversation, text
from core.data.formats.marks import marked_turns
from core.data.system_prompt import COLUMN, COLUMN_HELP

NAME = "preference"
TITLE = "chosen and rejected: the chosen answers are learned, the rejected ones not used"
COLUMNS = {"prompt": "prompt", "chosen": "chosen"} | COLUMN
HELP = {
    "prompt": "The column with the prompt: text, or a list of messages. It may be missing where chosen begins with it.",
    "chosen": "The column with the chosen answer, which is learned; the rejected one is not used.",
} | COLUMN_HELP
REQUIRED = ("chosen",)
ANSWER = None


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """The prompt and the chosen answer; raises RowProblem."""
    column = columns["chosen"]
    chosen, prompt = unpacked(row[column]), row.get(columns["prompt"])
    if isinstance(chosen, list) and not _begins_with_answer(chosen):
        return Conversation(checked(chosen, column))
    if prompt in (None, "", []):
        whole = chosen if isinstance(chosen, list) else marked_turns(text(chosen, f"the column `{column}`"), column)
        return Conversation(checked(whole, column))
    asked = turns(prompt, "user", f"the column `{columns['prompt']}`")
    learned = turns(chosen, "assistant", f"the column `{column}`")
    return Conversation(checked([*asked, *learned], f"{columns['prompt']} and {column}"))


def _begins_with_answer(messages: list[Any]) -> bool:
    return bool(messages) and isinstance(messages[0], dict) and messages[0].get("role") == "assistant"
