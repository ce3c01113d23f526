"""GGUF: llama.cpp reads the same tokens, the same prompt and the same likelihoods as transformers, in every family."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader
from tokenizers import Regex, processors
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence, Split
from transformers import (
    AddedToken,
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3TextConfig,
    GemmaTokenizer,
    LlamaConfig,
    MistralConfig,
    OlmoConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from core.errors import ModelError
from core.export.gguf.check import compare
from core.export.gguf.tensors import Model
from core.export.gguf.vocabulary import WORDS_OF_LLAMA, WORDS_OF_QWEN
from core.export.gguf.write import check_known, write_gguf
from core.files import write_whole
from core.models.load import Found
from core.models.progress import silent
from tests.llama_cpp import llama_cpp
from tests.toy_model import CHATML, toy_tokenizer

pytestmark = pytest.mark.process

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,
}
STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# Every sixth layer sees everything, the others sixteen tokens back.
GEMMA = {
    "head_dim": 32,
    "query_pre_attn_scalar": 32,
    "sliding_window": 16,
    "num_hidden_layers": 7,
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
        "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
    },
}
TEXTS = (
    "Hello world",
    "It's 12345 o'clock,  isn't it?\n\n  Yes\t!",
    "Äpfel & Öl: 日本語 🙂🏽 x²≠y ١٢٣ ½ 3.14e-10",
    "a\r\n\r\nb   c   ",
    "I'M HERE they'LL<|im_end|>\n<|im_start|>user\nthe question",
)
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "the question"},
    {"role": "assistant", "content": "the answer"},
    {"role": "user", "content": "and the answer and the question, " * 20},
]


def words(pattern: str) -> PreTokenizer:
    return Sequence([Split(Regex(pattern), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])


def pieces() -> GemmaTokenizer:
    """SentencePiece's way: spaces are letters, bytes are tokens of their own, tokens stand in the order of their merges."""
    words = ["▁the", "▁answer", "▁question", "▁and", "is", "it", "▁▁", "▁▁▁", "user", "Hel", "Hello"]
    letters = sorted({letter for word in words for letter in word})
    vocabulary = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    for word in words:
        vocabulary += [word[:end] for end in range(2, len(word) + 1) if word[:end] not in vocabulary]
    ids = {text: index for index, text in enumerate(vocabulary)}
    merges = [(text[:cut], text[cut:]) for text in vocabulary[5 + 256 + len(letters) :] for cut in range(1, len(text))]
    found = GemmaTokenizer(vocab=ids, merges=[pair for pair in merges if set(pair) <= ids.keys()])
    found.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    found.add_tokens([AddedToken(text, normalized=False) for text in ("▁▁", "▁▁▁")])  # as Gemma lists its own
    found.chat_template = CHATML
    return found


@dataclass(frozen=True)
class Family:
    """A configuration of a family, and how its tokenizers cut words."""

    config: type[PreTrainedConfig]
    cut: PreTokenizer | None = field(default_factory=lambda: ByteLevel(add_prefix_space=False))
    shape: dict = field(default_factory=dict)
    begins: bool = False
    spare: int = 0
    beyond: bool = False  # a token that the model has no row for
    template: str | dict[str, str] = CHATML

    def made(self, folder: Path) -> Found:
        tokenizer = toy_tokenizer() if self.cut else pieces()
        if self.cut:
            tokenizer.backend_tokenizer.pre_tokenizer = self.cut
        if self.begins:
            tokenizer.bos_token = "<|im_start|>"
            begin = ("<|im_start|>", tokenizer.bos_token_id)
            tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
                single="<|im_start|> $A", pair="<|im_start|> $A $B", special_tokens=[begin]
            )
        rows = len(tokenizer) + self.spare
        if self.beyond:
            tokenizer.add_tokens(["<image_soft_token>"], special_tokens=True)
        tokenizer.chat_template = self.template
        tokenizer.save_pretrained(folder)
        torch.manual_seed(5)
        config = self.config(vocab_size=rows, **SHAPE | self.shape)
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
        return Found(folder, None)


FAMILIES = {
    "llama": Family(LlamaConfig, spare=20, template={"default": CHATML, "tool_use": "Tools!"}),
    "smollm2": Family(LlamaConfig, Sequence([Digits(True), ByteLevel(add_prefix_space=False)]), {"tie_word_embeddings": True}),
    "llama3": Family(LlamaConfig, words(WORDS_OF_LLAMA), {"rope_parameters": STRETCHED}, begins=True),
    "linear": Family(LlamaConfig, shape={"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}),
    "mistral": Family(MistralConfig, shape={"head_dim": 32, "sliding_window": None}),
    "qwen2": Family(Qwen2Config, words(WORDS_OF_QWEN), {"tie_word_embeddings": True}),
    "qwen3": Family(Qwen3Config, words(WORDS_OF_QWEN), {"head_dim": 32}),
    "gemma3": Family(Gemma3TextConfig, None, GEMMA, beyond=True),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_llama_cpp_reads_every_family_as_transformers_does(name, tmp_path):
    found, file = FAMILIES[name].made(tmp_path / "model"), tmp_path / "toy-F32.gguf"
    check_known(found)
    write_gguf(Model(found, "fp32"), "toy", file, silent)
    tokenizer = AutoTokenizer.from_pretrained(found.folder)
    ids = tokenizer.apply_chat_template(TURNS, add_generation_prompt=True, return_dict=False)
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(found.folder)(torch.tensor([ids])).logits
    wanted = torch.log_softmax(logits[0, -1], dim=-1)
    with llama_cpp(file) as read:
        assert [read.tokens(text) for text in TEXTS] == [tokenizer(text)["input_ids"] for text in TEXTS]
        plain = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS[:4]]
        assert [read.text(ids) for ids in plain] == list(TEXTS[:4])
        assert read.tokens(read.prompt(TURNS)) == ids
        likely = read.likely(ids)
    assert max(likely, key=likely.get) == wanted.argmax()
    # Its cache holds 16 bits; a weight or a position in the wrong place is tenths apart.
    assert all(abs(said - float(wanted[token])) < 0.01 for token, said in likely.items())


def test_a_conversation_begins_as_the_chat_template_has_it_though_texts_begin_otherwise(tmp_path):
    found, file = (
        Family(LlamaConfig, begins=True, template="{{ messages[0].content }}").made(tmp_path / "model"),
        tmp_path / "x",
    )
    write_gguf(Model(found, "fp32"), "toy", file, silent)
    with llama_cpp(file) as read:
        ids = read.tokens(read.prompt(TURNS))
    assert ids == AutoTokenizer.from_pretrained(found.folder)("Be brief.", add_special_tokens=False)["input_ids"]


def test_where_a_tokenizer_names_no_end_an_answer_ends_with_its_turn(tmp_path):
    found, file = FAMILIES["llama"].made(tmp_path / "model"), tmp_path / "toy.gguf"
    settings = found.folder / "tokenizer_config.json"
    write_whole(settings, json.dumps(json.loads(settings.read_text()) | {"eos_token": None}))
    write_gguf(Model(found, "fp16"), "toy", file, silent)
    fields = GGUFReader(file).fields
    tokens = fields["tokenizer.ggml.tokens"]
    assert tokens.contents(fields["tokenizer.ggml.eos_token_id"].contents()) == "<|im_end|>"


@pytest.mark.parametrize("precision", ["bf16", "fp16", "q8_0", "q4_1"])
def test_rounded_numbers_are_near_and_as_small_as_they_say(precision, tmp_path):
    found, file = FAMILIES["qwen3"].made(tmp_path / "model"), tmp_path / "toy.gguf"
    write_gguf(Model(found, precision), "toy", file, silent)
    apart = compare(found, file, precision).apart
    assert apart < {"q8_0": 0.02, "q4_1": 0.5}.get(precision, 1e-3)


def test_an_output_layer_of_its_own_is_written_though_the_settings_call_it_the_embedding(tmp_path):
    found, file = FAMILIES["qwen2"].made(tmp_path / "model"), tmp_path / "toy.gguf"
    model = AutoModelForCausalLM.from_pretrained(found.folder)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    model.save_pretrained(found.folder)
    assert model.config.tie_word_embeddings
    write_gguf(Model(found, "fp32"), "toy", file, silent)
    assert compare(found, file, "fp32").apart < 1e-3


def test_a_file_that_says_something_else_is_found_out(tmp_path):
    file = tmp_path / "toy.gguf"
    write_gguf(Model(FAMILIES["qwen2"].made(tmp_path / "model"), "fp16"), "toy", file, silent)
    with pytest.raises(ModelError, match="not what was trained: its likelihoods are"):
        compare(FAMILIES["smollm2"].made(tmp_path / "other"), file, "fp16")


@pytest.mark.parametrize(
    ("family", "why"),
    [
        (Family(OlmoConfig), "of the kind olmo cannot be written as GGUF here"),
        (Family(LlamaConfig, Split(" ", "isolated")), "cuts words in a way that llama.cpp has no name for"),
        (Family(LlamaConfig, ByteLevel(add_prefix_space=True)), "cuts words in a way"),
        (Family(LlamaConfig, shape={"rope_parameters": STRETCHED | {"rope_type": "yarn"}}), "scales positions by yarn"),
        (Family(MistralConfig, shape={"sliding_window": 16}), "looks back 16 tokens only"),
        (
            Family(Qwen2Config, shape={"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}),
            "looks back 16",
        ),
        (Family(LlamaConfig, shape={"hidden_act": "gelu"}), "has the activation gelu"),
        (Family(Gemma3TextConfig, None, GEMMA | {"final_logit_softcapping": 5.0}), "caps its scores"),
        (Family(Qwen3Config, shape={"attention_bias": True}), "has biases in its attention"),
    ],
)
def test_what_llama_cpp_would_read_wrongly_is_refused(family, why, tmp_path):
    with pytest.raises(ModelError, match=why):
        check_known(family.made(tmp_path / "model"))


def test_numbers_too_large_for_16_bits_are_not_written(tmp_path):
    found = FAMILIES["llama"].made(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(found.folder)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[3, 4] = 1e6
    model.save_pretrained(found.folder)
    with pytest.raises(ModelError, match="too large for fp16"):
        write_gguf(Model(found, "fp16"), "toy", tmp_path / "toy.gguf", silent)
