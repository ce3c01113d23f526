"""What stands in a cell, as one text: words, a number, or several passages."""

import math
from typing import Any

from core.data.conversation import RowProblem


def written(value: Any) -> Any:
    """A number as its digits, as answers and labels often are; anything else as it is."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, int | float) else value


def passages(value: Any, what: str) -> str:
    """A text, a number, a list of texts or PubMedQA's `{"contexts": […]}` as one text; nothing is the empty text.

    Raises RowProblem for anything else.
    """
    found = value.get("contexts", value) if isinstance(value, dict) else written(value)
    if isinstance(found, list) and all(passage is None or isinstance(passage, str) for passage in found):
        return "\n\n".join(passage for passage in found if passage and passage.strip())
    if found is not None and not isinstance(found, str):
        raise RowProblem(f"{what} is neither text nor a list of texts")
    return found or ""
