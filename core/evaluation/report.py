"""What an evaluation found: written by its job, read by the page and the command line. No torch."""

import csv
import io
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from core.evaluation.compare import LEAST_ROWS, LOSS, Compared, Estimate, from_dict
from core.files import read_json, write_whole
from core.home import JobFiles


@dataclass(frozen=True)
class Answer:
    """What both said to one prompt, and what the data says, where the prompt is out of it."""

    prompt: str
    base: str
    tuned: str
    expected: str = ""


@dataclass(frozen=True)
class TaskScore:
    """A known test: its measure, and score and standard error of both; None where the test gives no number."""

    name: str
    measure: str
    base: float | None
    base_error: float | None
    tuned: float | None
    tuned_error: float | None


@dataclass(frozen=True)
class Findings:
    """The sets that were measured, the whole of the held-out rows first, then each source, then the general ones."""

    sets: list[Compared] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    tasks: list[TaskScore] = field(default_factory=list)

    @property
    def held_out(self) -> Compared | None:
        return next((found for found in self.sets if not found.general), None)

    @property
    def general(self) -> Compared | None:
        return next((found for found in self.sets if found.general), None)

    def sentences(self) -> list[str]:
        """The verdict first, then whether something was forgotten."""
        held_out = (
            [_learned(self.held_out)] if self.held_out else ["No rows were held out, so nothing says if it helped."]
        )
        return held_out + ([_forgotten(self.general)] if self.general else [])

    def as_dict(self) -> dict[str, Any]:
        """`sets`, `answers` and `tasks` in plain values; None for what is no number, which JSON does not know."""
        return asdict(self, dict_factory=_plain)

    def csv(self) -> str:
        """The answers as a table for any other program."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ["prompt", "base", "tuned", "expected"])
        writer.writeheader()
        writer.writerows(asdict(answer) for answer in self.answers)
        return text.getvalue()


def _plain(values: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values}


def write(files: JobFiles, findings: Findings) -> None:
    write_whole(files.evaluation, json.dumps(findings.as_dict(), indent=1, ensure_ascii=False))


def read(files: JobFiles) -> Findings | None:
    """None before the end, and where the file is not what an evaluation writes."""
    values = read_json(files.evaluation)
    try:
        return values and Findings(
            [from_dict(found) for found in values["sets"]],
            [Answer(**said) for said in values["answers"]],
            [TaskScore(**task) for task in values["tasks"]],
        )
    except (KeyError, TypeError):
        return None


def _learned(found: Compared) -> str:
    if found.measure != LOSS:
        return _preferred(found)
    words = {
        "better": "Better: the held-out loss fell",
        "worse": "Worse: the held-out loss rose",
        "no difference": "No difference that the data can show: the held-out loss went",
    }
    return _said(found, words)


def _preferred(found: Compared) -> str:
    """By which answer is the likelier one, as that says what it does; how many it has moved at all says only in which direction."""
    if found.verdict == "no number":
        return _no_number(found, f"on {_pairs(found)} the likelihood")
    of = f"of {_pairs(found)} it finds the chosen answer the likelier one in {percent(found.tuned.mean)}"
    if found.verdict == "too few rows":
        return f"Too few pairs to say: {of}, the base in {percent(found.base.mean)}; {LEAST_ROWS} are needed."
    verdict = {"no difference": "No difference that the data can show"}.get(found.verdict, found.verdict.capitalize())
    low, high = points(found.difference)
    return (
        f"{verdict}: {of}, the base in {percent(found.base.mean)}; the difference lies between {low} and {high} points (95 %). "
        f"Against the base it has moved towards the chosen answer in {percent(found.moved.mean)} of them (95 %: {percent(found.moved.low)} to "
        f"{percent(found.moved.high)})."
    )


def _pairs(found: Compared) -> str:
    """40 held-out pairs"""
    return f"{found.rows:,} {found.name.removesuffix('s') if found.rows == 1 else found.name}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %" if math.isfinite(share) else "-"


def points(difference: Estimate) -> tuple[str, str]:
    """The range of a difference of two shares, in hundredths: +5 and +33."""
    return f"{100 * difference.low:+.0f}", f"{100 * difference.high:+.0f}"


def _forgotten(found: Compared) -> str:
    words = {
        "better": f"Nothing forgotten: on {found.name}, which it did not train on, the loss fell",
        "worse": f"It has forgotten some: on {found.name}, which it did not train on, the loss rose",
        "no difference": f"Nothing forgotten that the data can show: on {found.name} the loss went",
    }
    return _said(found, words)


def _no_number(found: Compared, where: str) -> str:
    which = "tuned model" if math.isfinite(found.base.mean) else "base"
    return (
        f"No verdict: {where} of the {which} is no number. Its weights are damaged, as after a training that diverged: choose "
        "an earlier checkpoint, or train with a lower learning rate."
    )


def _said(found: Compared, words: dict[str, str]) -> str:
    if found.verdict == "no number":
        return _no_number(found, f"on {found.rows:,} rows of {found.name} the loss")
    base, tuned, change = found.base, found.tuned, found.difference
    losses = f"from {base.mean:.3f} to {tuned.mean:.3f} (perplexity {base.perplexity:,.2f} to {tuned.perplexity:,.2f})"
    if found.verdict not in words:
        return f"Too few rows to say: on {found.rows} of {found.name} the loss went {losses}; {LEAST_ROWS} are needed."
    return f"{words[found.verdict]} {losses} on {found.rows:,} rows; the difference lies between {change.low:+.3f} and {change.high:+.3f} (95 %)."
