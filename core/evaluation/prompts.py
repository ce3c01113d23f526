"""What both models are asked: the prompts of a person, or the first held-out rows up to their answer."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from core.data.tokens import IGNORED
from core.evaluation.losses import Row
from core.inference.prompt import ends_of
from core.recipe import Recipe

FROM_ROWS = 5
MARK = "QUESTION"


@dataclass(frozen=True)
class Prompt:
    """A prompt to read and as token ids, and the answer in the data, if it is out of it."""

    text: str
    ids: list[int]
    expected: str = ""


def written(texts: list[str], tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> list[Prompt]:
    """A person's prompts, each a conversation of its own, with the system prompt that all of the training data has."""
    system = recipe.data.system_prompt
    begin = [{"role": "system", "content": system}] if system else []
    return [Prompt(text, _ids([*begin, {"role": "user", "content": text}], tokenizer)) for text in texts]


def of_rows(rows: list[Row], tokenizer: PreTrainedTokenizerBase, context: int) -> list[Prompt]:
    """Of the first rows what stands before the answer, and the answer; `context` is the most tokens that are read."""
    around = _around_question(tokenizer)
    found = (_of_row(row, tokenizer, around) for row in rows[:FROM_ROWS])
    return [prompt for prompt in found if 0 < len(prompt.ids) < context]


def _of_row(row: Row, tokenizer: PreTrainedTokenizerBase, around: tuple[str, str]) -> Prompt:
    first, end = _by_labels(row["labels"]) or _by_template(row["input_ids"], tokenizer, around[1])
    ids = row["input_ids"][:first]
    texts = tokenizer.batch_decode([ids, row["input_ids"][first:end]], skip_special_tokens=True)
    return Prompt(_question(tokenizer.decode(ids), *around) or texts[0].strip(), ids, texts[1].strip())


def _by_labels(labels: list[int]) -> tuple[int, int] | None:
    """Where the first answer begins and ends; None where all of the row is learned, the question too."""
    first = next((place for place, label in enumerate(labels) if label != IGNORED), 0)
    end = next((place for place in range(first, len(labels)) if labels[place] == IGNORED), len(labels))
    return (first, end) if first else None


def _by_template(ids: list[int], tokenizer: PreTrainedTokenizerBase, before: str) -> tuple[int, int]:
    """The same by what the template writes before an answer; (0, 0) where it is not there."""
    mark, ends = tokenizer(before, add_special_tokens=False)["input_ids"], ends_of(tokenizer)
    places = range(len(ids) - len(mark))
    first = next((place + len(mark) for place in places if ids[place : place + len(mark)] == mark), 0)
    end = next((place for place in range(first, len(ids)) if ids[place] in ends), len(ids))
    return (first, end) if first and mark else (0, 0)


def _around_question(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """What the chat template writes before a question, from its last own token on, and between it and the answer."""
    turns = [{"role": "user", "content": MARK}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    before, _, after = text.rpartition(MARK)
    own = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return before[max([0, *map(before.rfind, own)]) :], after


def _question(text: str, before: str, after: str) -> str:
    """The last question of a prompt, without what the template writes around it; "" where it is written otherwise."""
    _, found, question = text.removesuffix(after).rpartition(before)
    return question.strip() if found and text.endswith(after) else ""


def _ids(turns: list[dict[str, str]], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]
