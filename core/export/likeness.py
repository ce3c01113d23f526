"""Whether two models say the same: how likely each finds every next token of a question, and what they answer greedily."""

from dataclasses import dataclass

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.models.templates import REFUSALS

QUESTION = "What is a good way to learn something new? Answer in two or three sentences."
LONGEST_ANSWER = 24
# Rounding to 16 bits moves the likelihoods by thousandths of a nat; a weight that was left out by far more.
ROUNDING = 0.02
SHARE = 0.1


@dataclass(frozen=True)
class Said:
    """Log-likelihood of every token at every place of the question, (tokens, vocabulary), and the tokens of the answer."""

    likely: torch.Tensor
    answer: list[int]


@dataclass(frozen=True)
class Likeness:
    """In nats a token (Kullback-Leibler): how far the merged model is from the adapter on its base, and that from the base."""

    apart: float
    learned: float
    same_answer: bool

    @classmethod
    def between(cls, base: Said, adapter: Said, merged: Said) -> "Likeness":
        return cls(_apart(adapter, merged), _apart(adapter, base), adapter.answer == merged.answer)

    @property
    def close(self) -> bool:
        """Nearer than rounding, or than a tenth of what was learned; not a number is never close."""
        return self.apart <= max(ROUNDING, SHARE * self.learned)


@torch.no_grad()
def ask(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, ends: frozenset[int] | None = None
) -> Said:
    """What a model makes of the question; without the tokens that end an answer only how likely it finds it."""
    ids = torch.tensor([_question(tokenizer)])  # (1, tokens)
    likely = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
    if ends is None:
        return Said(likely, [])
    said = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=LONGEST_ANSWER,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=sorted(ends) or None,
    )
    return Said(likely, said[0, ids.shape[1] :].tolist())


def _question(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    turns = [{"role": "user", "content": QUESTION}]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except REFUSALS:
        return tokenizer(QUESTION)["input_ids"]
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _apart(one: Said, other: Said) -> float:
    vocabulary = min(one.likely.shape[-1], other.likely.shape[-1])
    p, q = one.likely[:, :vocabulary], other.likely[:, :vocabulary]
    return float(torch.nn.functional.kl_div(q, p, log_target=True, reduction="batchmean"))
