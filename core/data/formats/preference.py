"""The `preference` layout: two answers to a prompt, of which one was chosen. Both are used where pairs are learned from
(`training.objective` dpo, orpo); else the chosen one is learned and the other not used.

The prompt may be a column of its own, or the beginning of the chosen conversation; Anthropic's hh-rlhf has it in marks.
"""

from itertools import takewhile
from typing import Any

from core.data.checked import checked, is_learned, read_only, turns, unpacked
from core.data.conversation import Conversation, Message, Pair, RowProblem, text
from core.data.formats.marks import marked_turns
from core.data.system_prompt import COLUMN, COLUMN_HELP

NAME = "preference"
TITLE = "chosen and rejected: pairs of answers for dpo and orpo; with sft only the chosen ones are learned"
COLUMNS = {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"} | COLUMN
HELP = {
    "prompt": "The column with the prompt: text, or a list of messages. It may be missing where chosen begins with it.",
    "chosen": "The column with the chosen answer, which is learned.",
    "rejected": "The column with the rejected answer. Used where pairs are learned from (dpo, orpo), else it may be missing.",
} | COLUMN_HELP
REQUIRED = ("chosen",)
ANSWER = None


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """The prompt and the chosen answer; raises RowProblem."""
    return _with_answer(row, columns, "chosen")


def pair(row: dict[str, Any], columns: dict[str, str]) -> Pair:
    """Both answers to the prompt; raises RowProblem also where they are the same, or answer different questions."""
    if columns["rejected"] not in row:
        raise RowProblem(f"has no column `{columns['rejected']}`, so there is nothing to prefer its answer to")
    both = [_with_answer(row, columns, name).messages for name in ("chosen", "rejected")]
    same = sum(1 for _ in takewhile(lambda turns: turns[0] == turns[1], zip(*both, strict=False)))
    for messages, name in zip(both, ("chosen", "rejected"), strict=True):
        _check_tail(messages[same:], columns[name])
    return Pair(*(Conversation(read_only(messages[:same]) + messages[same:]) for messages in both))


def _check_tail(messages: list[Message], column: str) -> None:
    """What differs has to be an answer to the same question."""
    if not any(map(is_learned, messages)):
        raise RowProblem(f"the column `{column}` has no answer of its own beside the other one's")
    if messages[0]["role"] != "assistant":
        raise RowProblem(f"the column `{column}` does not answer what the other one answers")


def _with_answer(row: dict[str, Any], columns: dict[str, str], name: str) -> Conversation:
    """The prompt and one of the answers."""
    column = columns[name]
    answer, prompt = unpacked(row[column]), row.get(columns["prompt"])
    if isinstance(answer, list) and not _begins_with_answer(answer):
        return Conversation(checked(answer, column))
    if prompt in (None, "", []):
        whole = answer if isinstance(answer, list) else marked_turns(text(answer, f"the column `{column}`"), column)
        return Conversation(checked(whole, column))
    asked = turns(prompt, "user", f"the column `{columns['prompt']}`")
    said = turns(answer, "assistant", f"the column `{column}`")
    return Conversation(checked([*asked, *said], f"{columns['prompt']} and {column}"))


def _begins_with_answer(messages: list[Any]) -> bool:
    return bool(messages) and isinstance(messages[0], dict) and messages[0].get("role") == "assistant"
