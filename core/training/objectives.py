"""What a training is to achieve, a line each: to say the answers, or to prefer the better of two. No torch.

Their losses stand in `preference.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """`hint` is a sentence for who chooses; `pairs` are rows of two answers, `reference` is the model as it was at the start."""

    title: str
    hint: str
    pairs: bool = False
    reference: bool = False


OBJECTIVES = {
    "sft": Objective("Answers (SFT)", "Learns to say the answers of the data."),
    # arXiv:2305.18290
    "dpo": Objective(
        "Preferences (DPO)",
        "Learns to prefer the chosen of two answers to the rejected one, and to stay near what the model was before. Usually "
        "after a training on answers. Wants a low learning rate, near 2e-5 with LoRA.",
        pairs=True,
        reference=True,
    ),
    # arXiv:2403.07691
    "orpo": Objective(
        "Answers and preferences (ORPO)",
        "Learns to say the chosen answer and to prefer it to the rejected one, in one training, without a model to stay near.",
        pairs=True,
    ),
}
