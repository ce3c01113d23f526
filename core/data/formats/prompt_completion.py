"""The `prompt_completion` layout of TRL: `prompt` and `completion`, each a text or a list of messages."""

from typing import Any

from core.data.conversation import Message, RowProblem, checked, text

NAME = "prompt_completion"
TITLE = "prompt and completion"
COLUMNS = {"prompt": "prompt", "completion": "completion"}
HELP = {
    "prompt": "The column with the prompt: text, or a list of messages. Assistant turns in it are learned too.",
    "completion": "The column with the completion that is learned: text, or a list of messages.",
}
REQUIRED = ("prompt", "completion")


def conversation(row: dict[str, Any], columns: dict[str, str]) -> list[Message]:
    """The prompt's messages, then the completion's; raises RowProblem."""
    prompt = _messages(row, columns["prompt"], "user")
    completion = _messages(row, columns["completion"], "assistant")
    both = checked([*prompt, *completion], f"{columns['prompt']} and {columns['completion']}")
    if all(message["role"] != "assistant" for message in both[len(prompt) :]):
        raise RowProblem(
            f"the column `{columns['completion']}` has no assistant turn, so there is no answer to learn from"
        )
    return both


def _messages(row: dict[str, Any], column: str, role: str) -> list[Any]:
    value = row[column]
    return value if isinstance(value, list) else [{"role": role, "content": text(value, f"the column `{column}`")}]
