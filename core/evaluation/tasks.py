"""Tasks of EleutherAI's lm-evaluation-harness, where it is installed: known tests, such as `hellaswag` or `arc_easy`."""

from pathlib import Path
from typing import Any

import yaml
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.errors import DataError
from core.evaluation.report import TaskScore
from core.where import local_path

# Measure, score, standard error; None where there is no number.
Score = tuple[str, float | None, float | None]
AT_ONCE = 8
ENDINGS = (".yaml", ".yml")
# The share of right answers, in the forms that tasks have it; the first that a task gives is shown.
MEASURES = ("acc_norm", "acc", "exact_match", "f1", "word_perplexity", "mc2")


def scores(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tasks: list[str], most_rows: int
) -> dict[str, Score]:
    """Task -> measure, score, standard error (each None where there is none); raises DataError for a task that cannot be run."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    try:
        found = simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=AT_ONCE),
            tasks=[_task(name) for name in tasks],
            limit=most_rows,
            log_samples=False,
            bootstrap_iters=0,
        )
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"tasks: {', '.join(tasks)} cannot be run: {str(error)[:300]}") from error
    return {name: _score(measured) for name, measured in (found or {})["results"].items()}


def compared(base: dict[str, Score], tuned: dict[str, Score]) -> list[TaskScore]:
    return [
        TaskScore(name, measure, score, error, *tuned[name][1:])
        for name, (measure, score, error) in base.items()
        if name in tuned
    ]


def _task(name: str) -> str | dict[str, Any]:
    """A task that the harness knows by name, or one of a person's own, as a YAML file."""
    if not name.endswith(ENDINGS):
        return name
    try:
        return yaml.safe_load(Path(local_path(name)).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"tasks: {name} cannot be read: {str(error)[:200]}") from error


def _score(measured: dict[str, Any]) -> Score:
    """The harness writes `measure,filter` and `measure_stderr,filter`."""
    values = {key.split(",")[0]: value for key, value in measured.items()}
    measure = next((name for name in MEASURES if name in values), None)
    if measure is None:
        return "no known measure", None, None
    error = values.get(f"{measure}_stderr")
    return measure, float(values[measure]), float(error) if isinstance(error, int | float) else None
