"""How slow parts say how far they are: a function that is told what is done, how much of it, and of how much."""

from collections.abc import Callable

# (what is being done, done, total) in any unit that the words make clear
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """For callers that do not watch."""
