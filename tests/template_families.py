"""Toy tokenizers of the chat template families, and what each family writes for an answer, by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import trl
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from core.models.templates import template_text

SHIPPED = Path(trl.__file__).parent / "chat_templates"
CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LLAMA = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
GEMMA = ["<bos>", "<start_of_turn>", "<end_of_turn>"]
PHI = ["<s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"]
MISTRAL = ["<s>", "[INST]", "[/INST]", "</s>"]
NO_THOUGHT = "<think>\n\n</think>\n\n"

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# TRL ships none of Mistral's. The system prompt goes into the first question; in v0.3 it goes into the last.
MISTRAL_TEMPLATE = """
{%- if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set turns = messages[1:] %}
{%- else %}{% set turns = messages %}{% endif %}
{{- bos_token }}
{%- for turn in turns %}
{%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}
{%- if turn['role'] == 'user' %}
{{- '[INST] ' + (system + '\n\n' if loop.first and system is defined else '') + turn['content'] + '[/INST]' }}
{%- else %}{{ ' ' + turn['content'] | trim + eos_token }}{% endif %}
{%- endfor %}"""
MISTRAL_V3_TEMPLATE = MISTRAL_TEMPLATE.replace("loop.first", "loop.last")

# How Llama 3 and Qwen cut text before the merges: line breaks stay together.
CUTS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SENTENCES = [
    "First question?\n\n\n\nFirst answer.",
    "user assistant model system\n\n Second",
    "the  answer\n\n\nis here",
]


@dataclass(frozen=True)
class Family:
    """A template with its special tokens, first bos and last eos, and an answer as this family writes and learns it."""

    template: str
    special: list[str]
    answer: Callable[[str], str]
    takes_system: bool = True
    changed: list[str] = field(default_factory=list)  # texts that the template itself reads, and rewrites

    def tokenizer(self) -> PreTrainedTokenizerFast:
        return tokenizer_of(tuple(self.special), self.template)


def shipped(name: str) -> str:
    return (SHIPPED / f"{name}.jinja").read_text()


FAMILIES = {
    "smollm2": Family(SMOLLM2, CHATML, lambda text: text + "<|im_end|>"),
    "qwen2_5": Family(shipped("qwen2_5"), CHATML, lambda text: text + "<|im_end|>"),
    "llama3": Family(shipped("llama3"), LLAMA, lambda text: text.strip() + "<|eot_id|>"),
    "llama3_1": Family(shipped("llama3_1"), LLAMA, lambda text: text.strip() + "<|eot_id|>"),
    "llama3_2": Family(shipped("llama3_2"), LLAMA, lambda text: text.strip() + "<|eot_id|>"),
    "gemma": Family(shipped("gemma"), GEMMA, lambda text: text.strip() + "<end_of_turn>", takes_system=False),
    "gemma3": Family(shipped("gemma3"), GEMMA, lambda text: text.strip() + "<end_of_turn>"),
    "qwen3": Family(
        shipped("qwen3"), CHATML, lambda text: NO_THOUGHT + text.lstrip("\n") + "<|im_end|>", changed=["</think>"]
    ),
    "qwen3_instruct_2507": Family(shipped("qwen3_instruct_2507"), CHATML, lambda text: text + "<|im_end|>"),
    "mistral": Family(MISTRAL_TEMPLATE, MISTRAL, lambda text: " " + text.strip() + "</s>"),
    "mistral_v3": Family(MISTRAL_V3_TEMPLATE, MISTRAL, lambda text: " " + text.strip() + "</s>", takes_system=False),
    "plain": Family(template_text("plain"), CHATML[:1], lambda text: " " + text.strip() + "<|endoftext|>"),
    "alpaca": Family(template_text("alpaca"), CHATML[:1], lambda text: text.strip() + "<|endoftext|>"),
    "plain with bos": Family(template_text("plain", True), MISTRAL, lambda text: " " + text.strip() + "</s>"),
}
# They write the end of text once, after the last turn.
ENDS_ONCE = {
    "phi3": Family(shipped("phi3"), PHI, lambda text: text + "<|end|>"),
    "phi3_5": Family(shipped("phi3_5"), PHI, lambda text: text + "<|end|>"),
}


@cache
def tokenizer_of(special: tuple[str, ...], template: str | None = None, **added: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE with a few merges, those of line breaks among them; `added` is how its special tokens are matched."""
    inner = Tokenizer(models.BPE())
    cuts = pre_tokenizers.Split(Regex(CUTS), "isolated")
    inner.pre_tokenizer = pre_tokenizers.Sequence([cuts, pre_tokenizers.ByteLevel(False, use_regex=False)])
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(SENTENCES * 5, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    tokens = [AddedToken(text, special=True, normalized=False, **added) for text in special]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=tokens[0], eos_token=tokens[-1])
    tokenizer.add_special_tokens({"additional_special_tokens": tokens})
    tokenizer.chat_template = template
    return tokenizer
