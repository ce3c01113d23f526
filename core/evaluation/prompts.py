"""What both models are asked: the prompts of a person, or the first held-out rows up to their answer."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from core.data.tokens import IGNORED
from core.evaluation.losses import Row
from core.recipe import Recipe

FROM_ROWS = 5


@dataclass(frozen=True)
class Prompt:
    """A prompt to read and as token ids, and the answer in the data, if it is out of it."""

    text: str
    ids: list[int]
    expected: str = ""


def written(texts: list[str], tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> list[Prompt]:
    """A person's prompts, each a conversation of its own, with the system prompt that all of the training data has."""
    systems = {source.system for source in recipe.data.sources}
    begin = [{"role": "system", "content": system} for system in systems if system and len(systems) == 1]
    return [Prompt(text, _ids([*begin, {"role": "user", "content": text}], tokenizer)) for text in texts]


def of_rows(rows: list[Row], tokenizer: PreTrainedTokenizerBase) -> list[Prompt]:
    """Of the first rows what stands before the answer, and the answer."""
    return [found for row in rows[:FROM_ROWS] if (found := _of_row(row, tokenizer)).ids]


def _of_row(row: Row, tokenizer: PreTrainedTokenizerBase) -> Prompt:
    labels = row["labels"]
    first = next((place for place, label in enumerate(labels) if label != IGNORED), 0)
    end = next((place for place in range(first, len(labels)) if labels[place] == IGNORED), len(labels))
    ids = row["input_ids"][:first]
    texts = tokenizer.batch_decode([ids, row["input_ids"][first:end]], skip_special_tokens=True)
    return Prompt(texts[0].strip(), ids, texts[1].strip())


def _ids(turns: list[dict[str, str]], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]
