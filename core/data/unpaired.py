"""Data without pairs where pairs are to be learned from: known of its layout, before a row is read or when the first are."""

from core.data.formats.table import FORMATS, PAIRED
from core.data.peek import peek
from core.recipe import Recipe
from core.recipe_data import Source


def known_layout(source: Source) -> str | None:
    """The layout that was asked for, else the one that a look recognises; None where nobody has looked, as at the Hub."""
    if source.layout != "auto":
        return source.layout
    found = peek(source)
    return found.layout if found else None


def has_pairs(layout: str) -> bool:
    return FORMATS[layout] in PAIRED


def unpaired(recipe: Recipe, source: str, layout: str | None) -> str | None:
    """A sentence where the objective needs pairs and this layout has none; None also where the layout is not known."""
    if layout is None or not recipe.objective.pairs or has_pairs(layout):
        return None
    return (
        f"{source}: training.objective {recipe.training.objective} learns from pairs, a chosen and a "
        f"rejected answer in each row (layout preference), and this data has the layout {layout}. Choose "
        "other data, or training.objective sft."
    )


def problems(recipe: Recipe) -> list[str]:
    """The sentence for each data set of which it is known."""
    found = [unpaired(recipe, source.source, known_layout(source)) for source in recipe.data.sources]
    return [problem for problem in found if problem]
