"""A prompt token by token, for people to look at."""

from typing import Any

from tokenizers.decoders import DecodeStream

from core.inference.prompt import Prompt


def as_read(prompt: Prompt) -> dict[str, Any]:
    """Ids, texts, which of them only the template may write, and how many tokens the model can take."""
    return {
        "ids": prompt.ids,
        "pieces": _pieces(prompt),
        "special": _special(prompt),
        "context": len(prompt.ids) + prompt.room,
    }


def _pieces(prompt: Prompt) -> list[str]:
    """The text of each token; where a character takes several, the last of them has it."""
    decoder, backend = DecodeStream(skip_special_tokens=False), prompt.tokenizer.backend_tokenizer
    return [decoder.step(backend, token) or "" for token in prompt.ids]


def _special(prompt: Prompt) -> list[bool]:
    added = prompt.tokenizer.added_tokens_decoder
    return [token in added and added[token].special for token in prompt.ids]
