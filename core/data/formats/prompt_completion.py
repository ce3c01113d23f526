"""The `prompt_completion` layout of TRL: `prompt` and `completion`, each a text or a list of messages."""

from typing import Any

from core.data.checked import checked, turns
from core.data.conversation import Conversation, RowProblem
from core.data.formats.answer import KEY, answer
from core.data.system_prompt import COLUMN, COLUMN_HELP

NAME = "prompt_completion"
TITLE = "prompt and completion"
COLUMNS = {"prompt": "prompt", "completion": "completion"} | COLUMN
HELP = {
    "prompt": "The column with the prompt: text, or a list of messages. Assistant turns in it are learned too.",
    "completion": "The column with the completion that is learned: text, or a list of messages.",
} | COLUMN_HELP
REQUIRED = ("prompt", "completion")
ANSWER = "completion"
# Beside them in TRL's data of unpaired preferences: whether the completion is a good one.
LABEL = "label"


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """The prompt's messages, then the completion's; raises RowProblem."""
    asked, answered = columns["prompt"], columns["completion"]
    if row.get(LABEL) is False:
        raise RowProblem(
            f"the column `{LABEL}` says that this completion is a bad one, and it would be learned. Take such rows out"
        )
    prompt = turns(row[asked], "user", f"the column `{asked}`")
    completion = answer(row, columns, ANSWER) if KEY in columns else row[answered]
    learned = turns(completion, "assistant", f"the column `{answered}`")
    both = checked([*prompt, *learned], f"{asked} and {answered}")
    if all(message["role"] != "assistant" for message in both[len(prompt) :]):
        raise RowProblem(f"the column `{answered}` has no assistant turn, so there is no answer to learn from")
    return Conversation(both)
