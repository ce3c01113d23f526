"""The ways to build an adapter, a line each: what it sets, what it costs, what it cannot be combined with. No torch."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Method:
    """How an adapter is built and begun; `cost` is a sentence for the person who chooses."""

    title: str
    cost: str
    config: dict[str, Any] = field(default_factory=dict)
    bits: Literal[4, 16] = 16
    begins: Literal["random", "pissa", "eva"] = "random"
    faster_b: bool = False
    whole: bool = False
    no_start_from: str | None = None


METHODS = {
    "lora": Method("LoRA", "Two small matrices beside each layer. The standard, and the fastest."),
    # arXiv:2305.14314
    "qlora": Method(
        "QLoRA", "LoRA on a base model held in 4 bits. A quarter of the memory for the weights, slower.", bits=4
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
    ),
}
