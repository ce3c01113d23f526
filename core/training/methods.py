"""The ways to teach a model, a line each: what it sets, what it costs, what it cannot be combined with. No torch."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Method:
    """How an adapter is built and begun, or that the `whole` model is trained; `cost` is a sentence for who chooses.

    `bits` is how the base model's linear layers are held, 8 and 4 by bitsandbytes.
    """

    title: str
    cost: str
    config: dict[str, Any] = field(default_factory=dict)
    bits: Literal[4, 8, 16] = 16
    begins: Literal["random", "pissa", "eva"] = "random"
    faster_b: bool = False
    whole: bool = False
    no_start_from: str | None = None
    no_bias: str | None = None
    no_tokens: str | None = None


METHODS = {
    "lora": Method("LoRA", "Two small matrices beside each layer. The standard, and the fastest."),
    # arXiv:2305.14314
    "qlora": Method(
        "QLoRA", "LoRA on a base model held in 4 bits. A quarter of the memory for the weights, slower.", bits=4
    ),
    # arXiv:2208.07339
    "qlora8": Method(
        "QLoRA 8-bit",
        "LoRA on a base model held in 8 bits. Half of the memory for the weights, closer to the original than 4 bits.",
        bits=8,
    ),
    # arXiv:2312.03732
    "rslora": Method(
        "rsLoRA",
        "Scaled by the square root of the rank, so that high ranks learn as they should.",
        config={"use_rslora": True},
    ),
    # arXiv:2402.09353
    "dora": Method(
        "DoRA",
        "Learns direction and size apart. A little better at low ranks, slower.",
        config={"use_dora": True},
        no_bias="it scales what a layer gives as a whole, and PEFT leaves biases out of that",
    ),
    # arXiv:2402.12354
    "lora+": Method(
        "LoRA+", "The second matrix learns faster than the first. Often as good in fewer steps.", faster_b=True
    ),
    # arXiv:2404.02948
    "pissa": Method(
        "PiSSA",
        "Begins with the strongest directions of the base model's weights. Learns faster; saved at twice the rank.",
        begins="pissa",
        no_start_from="it takes its first weights out of the base model, and an earlier adapter brings its own",
    ),
    # arXiv:2410.07170
    "eva": Method(
        "EVA",
        "Begins with the directions in which your data varies most. Looks through some of it before the first step.",
        begins="eva",
        no_start_from="it draws its first weights from the data, and an earlier adapter brings its own",
        no_tokens="PEFT would look for directions in the tokens themselves",
    ),
    "full": Method(
        "Full fine-tuning",
        "Trains every weight of the model. Many times the memory and disk: for small models, much data, and low rates, "
        "near 2e-5.",
        whole=True,
        no_start_from="it trains the model itself; give the folder of the model to go on from as model.source",
    ),
}
