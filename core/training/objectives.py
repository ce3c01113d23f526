"""What a training is to achieve, a line each: to say the answers, or to prefer the better of two. No torch.

Their losses stand in `preference.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """`hint` is a sentence for who chooses; `pairs` are rows of two answers, `reference` is the model as it was at the start.

    `rate` is the learning rate to begin with, `highest_rate` what it bears, both with an adapter: the whole model bears a
    tenth. Without them it is as the recipe has it. `loss` is a sentence on its loss, where that is not the loss of a token.
    """

    title: str
    hint: str
    pairs: bool = False
    paper: str | None = None  # where its loss comes from
    reference: bool = False
    rate: float | None = None
    highest_rate: float | None = None
    loss: str = ""

    def usual_rate(self, whole: bool) -> float | None:
        return _of(self.rate, whole)

    def bears(self, rate: float, whole: bool) -> bool:
        """Whether a learning rate is one that it can be taught with; `whole` where the model itself is trained."""
        highest = _of(self.highest_rate, whole)
        return highest is None or rate <= highest


def _of(rate: float | None, whole: bool) -> float | None:
    return float(f"{rate / 10:g}") if rate and whole else rate


OBJECTIVES = {
    "sft": Objective("Answers (SFT)", "Learns to say the answers of the data."),
    "dpo": Objective(
        "Preferences (DPO)",
        "Learns to prefer the chosen of two answers to the rejected one, and to stay near what the model was before. Usually "
        "after a training on answers.",
        pairs=True,
        paper="arXiv:2305.18290",
        reference=True,
        rate=2e-5,
        highest_rate=5e-5,
        loss="The loss of a pair: 0.693 where neither answer is preferred, less where the chosen one is.",
    ),
    "orpo": Objective(
        "Answers and preferences (ORPO)",
        "Learns to say the chosen answer and to prefer it to the rejected one, in one training, without a model to stay near.",
        paper="arXiv:2403.07691",
        pairs=True,
        rate=5e-5,
        highest_rate=1e-4,
        loss="The loss of the chosen answer, and beta times that of preferring it to the rejected one.",
    ),
}
