"""From a conversation to the token ids a model is asked with, and the tokens at which its answer ends."""

from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock

from transformers import AutoConfig, PreTrainedConfig, PreTrainedTokenizerBase

from core.errors import ModelError
from core.inference.choices import Target, base_label
from core.inference.protocol import Message, RequestError
from core.models.left_out import LeftOut
from core.models.load import Found, load_tokenizer, why_not
from core.models.pruning import fetch_base
from core.models.templates import REFUSALS

# A fast tokenizer is not safe to use from two threads at once.
_reading = Lock()


@dataclass(frozen=True)
class Prompt:
    """A conversation as one model reads it; `room` is how many tokens of answer fit. Its end is what was answered so far (`begun`)."""

    found: Found
    tokenizer: PreTrainedTokenizerBase
    ids: list[int]
    room: int
    ends: frozenset[int]
    begun: str = ""


@dataclass(frozen=True)
class Reader:
    """A base's tokenizer with one chat template, and the longest sequence the base can take."""

    name: str
    found: Found
    tokenizer: PreTrainedTokenizerBase
    context: int
    ends: frozenset[int]
    longest_token: int  # in characters

    def prompt(self, messages: list[Message], go_on: bool) -> Prompt:
        begun = _begun(messages) if go_on else ""
        ids = self._ids(messages, begun)
        if len(ids) >= self.context:
            raise RequestError(
                f"This conversation is {len(ids):,} tokens long, and {self.name} reads {self.context:,} with its answer. "
                f"Shorten it to fewer than {self.context:,} tokens, or start a new chat.",
                code="context_length_exceeded",
                param="messages",
            )
        return Prompt(self.found, self.tokenizer, ids, self.context - len(ids), self.ends, begun)

    def _ids(self, messages: list[Message], begun: str) -> list[int]:
        """The tokens of a conversation, and of the answer that has `begun`, if any: its last message then."""
        if not self.tokenizer.chat_template:
            raise RequestError(
                f"{self.name} has no chat template, so it cannot hold a conversation. Choose its Instruct version, or "
                "a run with a template in model.chat_template."
            )
        turns = [{"role": message.role, "content": message.content} for message in messages]
        asked = turns[:-1] if begun else turns
        try:
            text = self.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True) + begun
        except REFUSALS as error:
            raise RequestError(f"This conversation does not fit the chat template of {self.name}: {error}") from None
        self._refuse_beyond_measure(text)
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _refuse_beyond_measure(self, text: str) -> None:
        """Refuse at once what is too long even in the longest tokens: others wait while a text is cut into tokens."""
        if len(text) > self.context * self.longest_token:
            raise RequestError(
                f"This conversation has {len(text):,} characters, and {self.name} reads {self.context:,} tokens with its "
                "answer. Shorten it, or start a new chat.",
                code="context_length_exceeded",
                param="messages",
            )


def read(target: Target, messages: list[Message], go_on: bool = False) -> Prompt:
    """The prompt for a target, up to where its answer begins, or with `go_on` to the end of what was answered so far.

    Raises RequestError where it is too long, ModelError where there is no tokenizer.
    """
    base = replace(target, adapter=None)
    _found(base)  # without the lock: others would wait for a download
    with _reading:
        return _reader(base).prompt(messages, go_on)


def _begun(messages: list[Message]) -> str:
    """What the last message, an assistant's, says so far; raises RequestError."""
    if len(messages) < 2 or messages[-1].role != "assistant" or not messages[-1].content:
        raise RequestError(
            "continue_final_message: the last message is what was answered so far, so it must be an assistant's, with "
            "words, after at least one other.",
            param="continue_final_message",
        )
    return messages[-1].content


def forget() -> None:
    """Free the memory of the tokenizers; the next prompt loads its own again."""
    with _reading:
        _reader.cache_clear()


@lru_cache(maxsize=8)
def _reader(target: Target) -> Reader:
    source, found = target.source, _found(target)
    tokenizer = load_tokenizer(found, target.chat_template, target.spare_template)
    if not tokenizer.is_fast:
        raise ModelError(f"{source} has a tokenizer that cannot stream text. Choose a model with a tokenizer.json.")
    longest_token = max(map(len, tokenizer.get_vocab()))
    return Reader(base_label(source), found, tokenizer, context_of(found), ends_of(tokenizer), longest_token)


def _found(target: Target) -> Found:
    return _fetched(target.source, target.revision, target.left_out, target.code)


@lru_cache(maxsize=32)
def _fetched(source: str, revision: str | None, left_out: LeftOut | None, code: bool) -> Found:
    """Looked up once: while the engine lives, a base stays the one it was."""
    return fetch_base(source, revision, left_out, code=code)


def context_of(found: Found) -> int:
    """The longest sequence, in tokens, that the model was built for; raises ModelError."""
    try:
        config = AutoConfig.from_pretrained(found.folder, trust_remote_code=found.code)
    except (OSError, ValueError) as error:
        raise ModelError(why_not("configuration", found, error)) from error
    return context_in(config)


def context_in(config: PreTrainedConfig) -> int:
    """The same out of a configuration. A model without positions (a recurrent one) has no such limit."""
    return getattr(config.get_text_config(), "max_position_embeddings", None) or 1_000_000


def ends_of(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that end an answer: the tokenizer's own, and the one the chat template writes after a turn."""
    known = {tokenizer.eos_token_id, _end_of_turn(tokenizer)}
    return frozenset(token for token in known if token is not None)


def _end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The first special token after an assistant's words; None where the template writes none."""
    if not tokenizer.chat_template:
        return None
    turns = [{"role": "user", "content": "Question"}, {"role": "assistant", "content": "Answer"}]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    except REFUSALS:
        return None
    after = tokenizer(text.rpartition("Answer")[2], add_special_tokens=False)["input_ids"]
    added = tokenizer.added_tokens_decoder
    return next((token for token in after if token in added and added[token].special), None)
