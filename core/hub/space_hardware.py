"""What a chat Space may run on, of what the Hub offers: the small CPU, the shared GPU, and one of its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hardware:
    """One choice; `flavor` is the Hub's name for it, `wants` what an account needs to get it."""

    flavor: str
    title: str
    description: str
    wants: str


HARDWARE: dict[str, Hardware] = {
    "cpu": Hardware(
        "cpu-basic",
        "CPU",
        "2 cores and 16 GB, without a price by the hour. Enough to try a model of up to a billion parameters.",
        "an account that may run Spaces",
    ),
    "zero": Hardware(
        "zero-a10g",
        "ZeroGPU",
        "A GPU is lent while an answer is written, without a price by the hour.",
        "a PRO account, or an organisation with a plan",
    ),
    "t4": Hardware(
        "t4-small",
        "T4",
        "A GPU with 16 GB of its own, paid by the hour, also while nobody asks.",
        "a payment method",
    ),
}
DEFAULT = "cpu"
