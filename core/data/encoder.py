"""What turns a row into tokens and labels: a tokenizer, a chat template, and the recipe's way of reading."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

from transformers import PreTrainedTokenizerBase

from core.data import tokens
from core.data.conversation import Conversation, PlainText
from core.data.sources import Opened
from core.data.store import EncodedRow
from core.data.turn_order import is_broken
from core.recipe import Recipe
from core.recipe_data import USED_AS
from core.where import Place, place_of

# Raised when the making of tokens or labels changes, so that rows made before are not used.
VERSION = 6
# The fingerprint is the commit: a resumed run asks for it by name, and means the same rows.
NOT_READING = USED_AS | {"revision"}


@dataclass(frozen=True)
class Encoder:
    """What turns rows into tokens and labels."""

    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe

    @cached_property
    def template(self) -> str:
        """Looked at when the first conversation comes: plain text needs none. Raises DataError."""
        return tokens.training_template(self.tokenizer)

    @cached_property
    def identity(self) -> list[str]:
        """What of the model shapes the tokens."""
        vocabulary = self.tokenizer.backend_tokenizer.to_str()
        # A base model and its Instruct version often differ in nothing but the token that ends a turn.
        marks = json.dumps(self.tokenizer.special_tokens_map, sort_keys=True)
        return [hashlib.sha256(vocabulary.encode()).hexdigest(), self.tokenizer.chat_template or "", marks]

    def key(self, opened: Opened) -> str:
        """Everything that shapes the rows of a data set, as 16 hex digits."""
        data = self.recipe.data
        asked = opened.source.model_dump(mode="json", exclude=NOT_READING)
        if place_of(opened.source.source) is Place.LOCAL:
            # A file is known by its contents and its kind: a restored run may find it under another name.
            asked["source"] = PurePath(opened.source.source).suffix.lower()
        shape = [VERSION, asked, opened.fingerprint, data.max_length, data.train_on, self.identity]
        return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]

    def rendered(self, said: Conversation | PlainText) -> "Rendered":
        text, spans = tokens.rendered(said, self.tokenizer, self.template if isinstance(said, Conversation) else "")
        broken = isinstance(said, Conversation) and is_broken(said.messages)
        return Rendered(text, spans, _body(said, text), digest_of(text), broken)

    def encoded(self, rows: list[tuple[int, "Rendered"]]) -> list[EncodedRow]:
        """Rows with their numbers, cut to the limit."""
        texts, spans = [row.text for _, row in rows], [row.spans for _, row in rows]
        found = tokens.encode(texts, spans, self.tokenizer, self.recipe.data.train_on)
        longest = self.recipe.data.max_length
        return [row.encoded(number, whole, longest) for (number, row), whole in zip(rows, found, strict=True)]


@dataclass(frozen=True)
class Rendered:
    """One row as text: its assistant turns, the character at which it begins to differ, its digest, if it is broken."""

    text: str
    spans: list[tokens.Span]
    body: int
    digest: int
    broken: bool

    def encoded(self, number: int, whole: tokens.Encoded, max_length: int) -> EncodedRow:
        """Cut to the limit, with what was lost by that."""
        labels = whole.labels[:max_length]
        supervised = len(labels) - labels.count(tokens.IGNORED)
        return EncodedRow(
            input_ids=whole.input_ids[:max_length],
            labels=labels,
            row=number,
            length=len(whole.input_ids),
            supervised=supervised,
            lost=whole.supervised - supervised,
            body=min(tokens.first_token(whole.offsets, self.body), max_length),
            digest=self.digest,
            text=self.text,
            ends=[end for _, end in whole.offsets],
            broken=self.broken,
        )


def digest_of(text: str) -> int:
    """The same 63 bits for what the model reads as the same, whatever layout it came in."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def _body(said: Conversation | PlainText, text: str) -> int:
    """Where the first turn begins that is not the system's: a system prompt that all rows share makes none alike."""
    place = 0
    for message in said.messages if isinstance(said, Conversation) else ():
        words = message["content"].strip()
        found = text.find(words[:200], place)
        if message["role"] != "system":
            return max(place, found)
        # A short question may stand in the system prompt as well, so it is looked for after that.
        if found >= 0 and text.startswith(words, found):
            place = found + len(words)
    return 0
