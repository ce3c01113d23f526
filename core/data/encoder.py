"""What turns a row into tokens and labels: a tokenizer, a chat template, and the recipe's way of reading."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

from transformers import PreTrainedTokenizerBase

from core.data import tokens
from core.data.conversation import Conversation, Pair, PlainText
from core.data.rendered import Rendered, RenderedPair, body_of, digest_of
from core.data.sources import Opened
from core.data.store import EncodedRow
from core.data.turn_order import is_broken
from core.recipe import Recipe
from core.recipe_data import USED_AS
from core.where import Place, place_of

# Raised when the making of tokens or labels changes, so that rows made before are not used.
VERSION = 7
# The fingerprint is the commit: a resumed run asks for it by name, and means the same rows.
NOT_READING = USED_AS | {"revision"}


@dataclass(frozen=True)
class Encoder:
    """What turns rows into tokens and labels."""

    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe

    @property
    def pairs(self) -> bool:
        """Whether rows are pairs of answers."""
        return self.recipe.objective.pairs

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
        # Only where it is so: sets of answers keep the names that they had before there were pairs.
        shape += ["pairs, 2"] if self.pairs else []
        return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]

    def rendered(self, said: Conversation | PlainText | Pair) -> Rendered | RenderedPair:
        if isinstance(said, Pair):
            return RenderedPair(self._rendered(said.chosen), self._rendered(said.rejected))
        return self._rendered(said)

    def _rendered(self, said: Conversation | PlainText) -> Rendered:
        text, spans = tokens.rendered(said, self.tokenizer, self.template if isinstance(said, Conversation) else "")
        broken = isinstance(said, Conversation) and is_broken(said.messages)
        return Rendered(text, spans, body_of(said, text), digest_of(text), broken)

    def encoded(self, rows: list[tuple[int, Rendered | RenderedPair]]) -> list[EncodedRow]:
        """Rows with their numbers, cut to the limit."""
        parts = [part for _, row in rows for part in row.parts]
        texts, spans = [part.text for part in parts], [part.spans for part in parts]
        found = iter(tokens.encode(texts, spans, self.tokenizer, self.recipe.data.train_on))
        longest = self.recipe.data.max_length
        return [row.encoded(number, [next(found) for _ in row.parts], longest) for number, row in rows]
