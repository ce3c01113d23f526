"""What any first answer has to import and set up, done while the engine waits for its first model.

So the first answer comes sooner; and an engine that has let go of a model holds what it held before: what stays is code.
"""

import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from core.inference.voices import BASE
from core.inference.weights import Weights
from core.models.load import Found

NEXT_TO_NOTHING = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
QUESTION, ANSWER = 20, 3  # tokens


def warm_up() -> None:
    """Load a model of next to nothing with an adapter, let both say a few words, and let go of them."""
    with tempfile.TemporaryDirectory() as folder:
        base, adapter = Path(folder, "base"), Path(folder, "adapter")
        model = LlamaForCausalLM(LlamaConfig(**NEXT_TO_NOTHING))
        model.save_pretrained(base)
        get_peft_model(model, LoraConfig(r=1, target_modules="all-linear")).save_pretrained(adapter)
        weights = Weights()
        weights.hold(Found(base, None), 16)
        _speak(weights, (BASE,))
        name = weights.name_of(adapter)
        _speak(weights, (name,))
        _speak(weights, (BASE, name))
        weights.unload()


def _speak(weights: Weights, names: tuple[str, ...]) -> None:
    weights.speak_as(names)
    asked = torch.ones(len(names), QUESTION, dtype=torch.long, device=weights.device)
    settings = GenerationConfig(max_new_tokens=ANSWER, do_sample=False, pad_token_id=0)
    with torch.inference_mode():
        weights.base.generate(asked, generation_config=settings)
