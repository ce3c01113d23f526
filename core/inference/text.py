"""Text out of token ids while they come: whole characters only, and nothing from a stop text on."""

from collections.abc import Sequence

from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase


class TextPieces:
    """Takes one token at a time and gives the text that is certain by now.

    `before`: tokens of the same text that it goes on from. Without them some tokenizers take a first space for none. `begun`:
    that text, with the end of which a stop text may begin.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, stops: list[str], before: Sequence[int] = (), begun: str = ""
    ):
        self.backend = tokenizer.backend_tokenizer
        # It keeps the bytes of an unfinished character back, and drops the tokens of the chat template.
        self.decoder = DecodeStream(list(before), skip_special_tokens=True)
        self.stops = stops
        self.held = begun
        self.known = len(begun)  # characters of what is held that are there already
        self.stopped = False
        self._give(len(begun) - self._could_become_a_stop())

    def add(self, token: int) -> str:
        """The text that this token makes certain; often empty."""
        self.held += self.decoder.step(self.backend, token) or ""
        if found := [self.held.find(stop) for stop in self.stops if stop in self.held]:
            self.stopped = True
            return self._give(min(found))
        return self._give(len(self.held) - self._could_become_a_stop())

    def rest(self) -> str:
        """What was held back in case it became a stop text; an unfinished character is lost."""
        return "" if self.stopped else self._give(len(self.held))

    def _give(self, length: int) -> str:
        text, self.held = self.held[self.known : length], self.held[length:]
        self.known = max(0, self.known - length)
        return text

    def _could_become_a_stop(self) -> int:
        """Length of the longest end of the text with which a stop text begins."""
        starts = (stop[:length] for stop in self.stops for length in range(1, len(stop)))
        return max((len(start) for start in starts if self.held.endswith(start)), default=0)
