"""A language model of a few thousand weights: everything a real one has, nothing it knows. Made in a second."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 4096
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def make_toy_model(folder: Path, seed: int = 7, **shape: int) -> Path:
    """A random Llama with a byte-level tokenizer and ChatML, saved in `folder` as on the Hub; returns the folder.

    `shape` makes it larger, in the words of transformers' configuration.
    """
    tokenizer = toy_tokenizer()
    tokenizer.save_pretrained(folder)
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        **size | heads | shape,
        max_position_embeddings=CONTEXT,
        # As in many real ones, the model's end is not the chat template's: an engine must stop at both.
        bos_token_id=tokenizer.convert_tokens_to_ids("<|im_start|>"),
        eos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        initializer_range=0.2,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def make_toy_chatterbox(folder: Path) -> Path:
    """A toy model that never ends its answer by itself, if it takes the likeliest token; returns the folder."""
    model = AutoModelForCausalLM.from_pretrained(make_toy_model(folder))
    with torch.no_grad():
        model.lm_head.weight[: len(SPECIAL)] = 0
    model.save_pretrained(folder)
    return folder


def toy_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with hardly any merges, so that an emoji takes several tokens."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, initial_alphabet=alphabet)
    inner.train_from_iterator(["system user assistant the answer and the question"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    return tokenizer


def make_toy_adapter(folder: Path, model: Path, seed: int = 1, alpha: int = 64) -> Path:
    """A LoRA adapter of random weights for a toy model, loud enough to change every answer; returns the folder."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=4, lora_alpha=alpha, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
    )
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(folder)
    return folder


def make_toy_shouter(folder: Path, model: Path, token: str = "the") -> Path:
    """An adapter under which a toy model says one word for ever: its LoRA on the last layer adds to that word alone."""
    base = AutoModelForCausalLM.from_pretrained(model)
    tuned = get_peft_model(base, LoraConfig(r=1, target_modules=["lm_head"], lora_bias=True, task_type="CAUSAL_LM"))
    with torch.no_grad():
        tuned.base_model.model.lm_head.lora_B["default"].bias[toy_tokenizer().convert_tokens_to_ids(token)] = 1e4
    tuned.save_pretrained(folder, save_embedding_layers=False)
    return folder


def make_toy_parrot(folder: Path, words: str) -> Path:
    """A toy model that was taught, in a few seconds, to answer everything with these words; returns the folder."""
    make_toy_model(folder)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), toy_tokenizer()
    rows = [_lesson(tokenizer, question, words) for question in ("Hi", "Question?", "the answer and the question")]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loss = torch.tensor(float("inf"))
    while loss > 0.005:
        loss = sum(model(input_ids=ids, labels=labels).loss for ids, labels in rows) / len(rows)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def _lesson(tokenizer: PreTrainedTokenizerFast, question: str, words: str) -> tuple[torch.Tensor, torch.Tensor]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": words}]
    ids = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), return_tensors="pt")["input_ids"]
    asked = len(
        tokenizer(tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True))["input_ids"]
    )
    return ids, torch.cat([torch.full((1, asked), -100), ids[:, asked:]], dim=1)
