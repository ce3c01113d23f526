"""What a Space can run on, of what the Hub offers: the free CPU, the shared GPU, and one of its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hardware:
    """One choice; `flavor` is the Hub's name for it."""

    flavor: str
    title: str
    description: str


HARDWARE: dict[str, Hardware] = {
    "cpu": Hardware(
        "cpu-basic", "CPU", "2 cores, 16 GB. Models of up to about a billion parameters answer at reading speed or slower."
    ),
    "zero": Hardware(
        "zero-a10g",
        "ZeroGPU",
        "A GPU that is lent while an answer is written. It costs nothing by the hour; the Hub gives it to PRO accounts and "
        "to organisations with a plan.",
    ),
    "t4": Hardware("t4-small", "T4", "A GPU of 16 GB of its own. It is paid by the hour, also while nobody asks."),
}
