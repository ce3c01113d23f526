"""Data without pairs where pairs are to be learned from: known of its layout, before a row is read or when the first are."""

from core.data.formats.columns import columns_of
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


def problem_of(recipe: Recipe, source: Source) -> str | None:
    """The sentence for a data set of which it is known: of its layout, or that no column has the rejected answers."""
    layout = known_layout(source)
    return unpaired(recipe, source.source, layout) or (_one_sided(recipe, source, layout) if layout else None)


def problems(recipe: Recipe) -> list[str]:
    """The sentence for each data set of which it is known."""
    return [problem for source in recipe.data.sources if (problem := problem_of(recipe, source))]


def bad_pair(source: Source) -> str | None:
    """What is wrong with the first row that has no pair; None where the first rows have, or are not known."""
    found = peek(source)
    return found.bad_pair if found else None


def no_pair_read(source: Source) -> bool:
    """Whether its first rows are known, and none of them can be read as two answers to a prompt."""
    found = peek(source)
    return bool(found and found.rows) and found.tokens_per_pair is None


def _one_sided(recipe: Recipe, source: Source, layout: str) -> str | None:
    found, column = peek(source), columns_of(source, FORMATS[layout]).get("rejected")
    if not recipe.objective.pairs or not found or not found.rows or column in found.columns:
        return None
    return (
        f"{source.source}: training.objective {recipe.training.objective} learns from pairs, and there is no column "
        f"`{column}` with the rejected answers. Name theirs in `columns`, choose other data, or training.objective sft."
    )
