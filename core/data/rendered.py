"""A row as text, before it is tokens: one conversation, or the two of a pair."""

import hashlib
from dataclasses import dataclass

from core.data import tokens
from core.data.conversation import Conversation, PlainText
from core.data.store import EncodedRow


@dataclass(frozen=True)
class Rendered:
    """One row as text: its assistant turns, the character at which it begins to differ, its digest, if it is broken."""

    text: str
    spans: list[tokens.Span]
    body: int
    digest: int
    broken: bool

    @property
    def parts(self) -> tuple["Rendered", ...]:
        return (self,)

    def encoded(self, number: int, wholes: list[tokens.Encoded], max_length: int) -> EncodedRow:
        """Cut to the limit, with what was lost by that; `wholes` is its one part."""
        whole = wholes[0]
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


def body_of(said: Conversation | PlainText, text: str) -> int:
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


@dataclass(frozen=True)
class RenderedPair:
    """A chosen and a rejected conversation, which make one row: one after the other, each cut for itself."""

    chosen: Rendered
    rejected: Rendered

    @property
    def parts(self) -> tuple[Rendered, ...]:
        return (self.chosen, self.rejected)

    def encoded(self, number: int, wholes: list[tokens.Encoded], max_length: int) -> EncodedRow:
        """The row; with nothing to learn where nothing can be compared: an answer, or all that differs, was cut away."""
        chosen, rejected = (
            part.encoded(number, [whole], max_length) for part, whole in zip(self.parts, wholes, strict=True)
        )
        labels, supervised = chosen.labels + rejected.labels, chosen.supervised + rejected.supervised
        lost = chosen.lost + rejected.lost
        if not (chosen.supervised and rejected.supervised) or chosen.input_ids == rejected.input_ids:
            labels, supervised, lost = [tokens.IGNORED] * len(labels), 0, lost + supervised
        return EncodedRow(
            input_ids=chosen.input_ids + rejected.input_ids,
            labels=labels,
            row=number,
            length=chosen.length + rejected.length,
            supervised=supervised,
            lost=lost,
            body=chosen.body,
            digest=digest_of(f"{chosen.text}\0{rejected.text}"),
            text=chosen.text + rejected.text,
            ends=chosen.ends + [len(chosen.text) + end for end in rejected.ends],
            broken=chosen.broken or rejected.broken,
            first=chosen.length,
            second=len(chosen.input_ids),
        )
