"""How much it helped, for a model card: what an evaluation found, or what the training measured. No torch."""

import math
from collections.abc import Iterator
from pathlib import Path

from core.evaluation.compare import LIKELIER, LOSS, Compared
from core.evaluation.report import Findings, percent, points
from core.hub.facts import Facts
from core.hub.markdown import plain, table
from core.training.held_out_events import in_words
from core.where import Place, place_of


def results(facts: Facts) -> Iterator[str]:
    """An evaluation where there is one, else what the training measured; nothing where there is neither."""
    findings, measured = facts.findings, facts.held_out
    if findings and findings.sets:
        yield "## Results"
        yield from _found(facts, findings)
    elif measured:
        yield "## Results"
        yield from _measured(facts, measured)


def _measured(facts: Facts, measured: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Losses, of pairs with a sentence about what they say, else with perplexities."""
    what, shown = ("pairs", _two) if facts.objective.pairs else ("rows", _four)
    before = "Before" if facts.left_out or facts.recipe.model.start_from else "Base"
    headings = (f"{before}: loss", "Tuned: loss", f"{before}: perplexity", "Tuned: perplexity")
    names = [_name(facts, in_words(facts.run, name)) for name in measured]
    rows = [(name, *shown(*losses)) for name, losses in zip(names, measured.values(), strict=True)]
    yield table((f"Held-out {what}", *headings)[: len(rows[0])], rows)
    yield f"Measured while it was trained, on {what} that it was not trained on."
    if facts.preference:
        yield facts.preference
    if facts.left_out:
        yield "Before is its base without those layers and with nothing learned; the base as it is was not measured."
    elif facts.recipe.model.start_from:
        yield "Before is with the adapter that it began with; the base alone was not measured."


def _two(before: float, after: float) -> tuple[str, ...]:
    return f"{before:.3f}", f"**{after:.3f}**"


def _four(before: float, after: float) -> tuple[str, ...]:
    return *_two(before, after), _perplexity(before), f"**{_perplexity(after)}**"


def _perplexity(loss: float) -> str:
    return f"{math.exp(loss):,.2f}" if loss < 50 else "-"


def _found(facts: Facts, findings: Findings) -> Iterator[str]:
    yield "\n".join(f"- {plain(sentence)}" for sentence in findings.sentences())
    for measure, (what, heading, row) in TABLES.items():
        if rows := [(_name(facts, found.name), *row(found)) for found in findings.sets if found.measure == measure]:
            yield table((what, "Number", f"Base: {heading}", f"Tuned: {heading}", "Difference (95 %)"), rows)
    if facts.left_out:
        yield "The base is the whole one, with all its layers."
    if findings.tasks:
        rows = [(plain(t.name), plain(t.measure), _score(t.base), _score(t.tuned)) for t in findings.tasks]
        yield table(("Known test", "Measure", "Base", "Tuned"), rows)


def _of_losses(found: Compared) -> tuple[str, ...]:
    change = found.difference
    return (
        f"{found.rows:,}",
        *_two(found.base.mean, found.tuned.mean),
        f"{change.low:+.3f} to {change.high:+.3f}",
    )


def _of_shares(found: Compared) -> tuple[str, ...]:
    low, high = points(found.difference)
    return f"{found.rows:,}", percent(found.base.mean), f"**{percent(found.tuned.mean)}**", f"{low} to {high} points"


# By what was compared: what the rows of a table are, what its figures are, and the figures.
TABLES = {
    LIKELIER: ("Pairs", "chosen answer likelier", _of_shares),
    LOSS: ("Rows", "loss", _of_losses),
}


def _name(facts: Facts, name: str) -> str:
    """A data set's name without the folders of this machine."""
    for source in facts.recipe.data.sources:
        if place_of(source.source) is Place.LOCAL:
            name = name.replace(source.source, Path(source.source).name)
    return plain(name)


def _score(score: float | None) -> str:
    return f"{score:.3f}" if score is not None else "-"
