"""A tokenizer as llama.cpp reads it: its tokens and merges, how it cuts a text into words, and its chat template."""

import json

from gguf import GGUFWriter, TokenType
from transformers import PreTrainedTokenizerBase

from core.errors import ModelError
from core.inference.prompt import ends_of
from core.models.load import begins_with_bos

# How a text is cut into words before merging -> llama.cpp's name for it. It knows the rules by name alone, so a rule that is
# not here cannot be told to it. The patterns are those of the models' own tokenizer.json.
DIGITS = "one digit at a time"
PLAIN = "as GPT-2 does"
WORDS_OF_LLAMA = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS_OF_QWEN = WORDS_OF_LLAMA.replace(r"\p{N}{1,3}", r"\p{N}")
RULES = {
    (PLAIN,): "gpt-2",
    (DIGITS, PLAIN): "smollm",
    (WORDS_OF_LLAMA,): "llama-bpe",
    (WORDS_OF_QWEN,): "qwen2",
}


def write_vocabulary(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase, size: int) -> None:
    """Add the tokens of ids 0 to `size`, and all that belongs to them; raises ModelError for a tokenizer of another kind."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule_of(tokenizer))
    tokens, kinds = _tokens(tokenizer, size)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    _write_special(writer, tokenizer)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def rule_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """llama.cpp's name for the way a tokenizer cuts words; raises ModelError where it has none."""
    inner = json.loads(tokenizer.backend_tokenizer.to_str())
    steps = inner["pre_tokenizer"] or {}
    parts = tuple(filter(None, map(_step, steps.get("pretokenizers", [steps]))))
    if inner["model"]["type"] == "BPE" and (name := RULES.get(parts)):
        return name
    raise ModelError(
        "The tokenizer of this model cuts words in a way that llama.cpp has no name for here, so its GGUF would read other "
        "tokens. Export it merged, and convert that folder with llama.cpp's own convert_hf_to_gguf.py."
    )


def _step(step: dict) -> str | None:
    """One step of the cutting; None for turning bytes into letters, which all of them do."""
    if step.get("type") == "ByteLevel" and not step["add_prefix_space"]:
        return PLAIN if step["use_regex"] else None
    if step.get("type") == "Digits" and step["individual_digits"]:
        return DIGITS
    if step.get("type") == "Split" and step["behavior"] == "Isolated" and not step["invert"]:
        return step["pattern"].get("Regex", "")
    return json.dumps(step)


def _tokens(tokenizer: PreTrainedTokenizerBase, size: int) -> tuple[list[str], list[int]]:
    """Text and kind of every id; a model may have more rows than its tokenizer has tokens."""
    texts = {index: text for text, index in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    kinds = [TokenType.NORMAL if index in texts else TokenType.UNUSED for index in range(size)]
    for index, token in added.items():
        kinds[index] = TokenType.CONTROL if token.special else TokenType.USER_DEFINED
    return [texts.get(index, f"[PAD{index}]") for index in range(size)], kinds


def _write_special(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase) -> None:
    """The tokens that begin and end a text. An answer ends at the template's own end of turn too."""
    eos = tokenizer.eos_token_id
    known = {"bos": tokenizer.bos_token_id, "eos": eos, "pad": tokenizer.pad_token_id, "unk": tokenizer.unk_token_id}
    turn = next((end for end in ends_of(tokenizer) if end != eos), None)
    for name, token in (known | {"eot": turn}).items():
        if token is not None:
            getattr(writer, f"add_{name}_token_id")(token)
    writer.add_add_bos_token(begins_with_bos(tokenizer))
    writer.add_add_eos_token(False)
