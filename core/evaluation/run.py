"""The evaluate job: base and tuned on held-out rows and on general ones, and what both answer. Nothing is trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core import home
from core.data.prepare import find_model, prepare
from core.data.preview import Prepared
from core.errors import DataError, ModelError
from core.evaluation import contenders, prompts, report, sets, tasks
from core.evaluation.answers import answers, check_fit
from core.evaluation.asked import NOTHING, Evaluation
from core.evaluation.compare import Compared, compared, compared_pairs
from core.evaluation.losses import row_losses
from core.evaluation.report import Answer, Findings
from core.evaluation.sets import RowSet
from core.inference.prompt import context_of
from core.jobs.asked import read
from core.jobs.errand import run_of
from core.jobs.folder import Job
from core.jobs.outcome import folder_of
from core.jobs.worker import Worker
from core.models import crowd
from core.models.load import Found, load_tokenizer
from core.models.too_small import is_too_small
from core.training.device import choose_device, set_up
from core.training.model import base_of

ROWS_AT_ONCE = 8


def run(worker: Worker) -> None:
    """Do the whole job; raises StudioError with a sentence for the person."""
    recipe, asked = worker.job.recipe, read(worker.job, Evaluation)
    tried = run_of(asked)
    device = choose_device(recipe.training)
    set_up(device, recipe.training)
    if device.kind == "cpu":
        crowd.watch()
    found = find_model(worker, tried)
    tokenizer = load_tokenizer(found, recipe.model.chat_template)
    trial = _trial(worker, asked, tokenizer, _prepared(worker, found, tried), context_of(found))
    try:
        base, tuned = contenders.each(recipe, found, folder_of(tried, asked.step, NOTHING), device, trial.of)
    except RuntimeError as error:
        if not is_too_small(error):
            raise
        raise ModelError(
            f"The memory of {device.name} is too small to compare {tried.name} with its base. Close what else uses it, or ask "
            "for shorter answers."
        ) from None
    findings = trial.findings(base, tuned)
    report.write(worker.files, findings)
    worker.finish("finished", " ".join(findings.sentences()))


def _prepared(worker: Worker, found: Found, tried: Job) -> home.PreparedFiles:
    """The set the run was trained on, made again if it was deleted; raises DataError where the data has changed since."""
    key = tried.prepared_key
    if key and Prepared(home.prepared_files(key)).whole:
        return home.prepared_files(key)
    _, files = prepare(worker, found)
    if key and files.folder.name != key:
        raise DataError(
            f"The data is not what {tried.name} was trained on: a source has changed. Put the old one back to evaluate."
        )
    return files


def _trial(
    worker: Worker, asked: Evaluation, tokenizer: PreTrainedTokenizerBase, files: home.PreparedFiles, context: int
) -> "_Trial":
    held_out = sets.held_out(files, asked.most_rows)
    general = sets.general(worker, tokenizer, files, asked.general, asked.most_rows)
    if asked.prompts:
        questions = prompts.written(asked.prompts, tokenizer, worker.job.recipe)
        check_fit([prompt.ids for prompt in questions], context)  # before minutes of measuring
    else:
        rows = (held_out.answered, general.answered)  # from text without turns nothing can be asked
        questions = next(filter(None, (prompts.of_rows(some, tokenizer, context) for some in rows)), [])
    measured = [rows for rows in (held_out, general) if rows.rows]
    return _Trial(worker, tokenizer, measured, questions, asked)


@dataclass(frozen=True)
class _Result:
    """What one model did: the losses of each set, its answers, and its scores in known tests.

    Losses are of shape (rows, 2), those of pairs (pairs, 2, 2).
    """

    losses: list[np.ndarray]
    answers: list[str]
    scores: dict[str, tasks.Score]


@dataclass(frozen=True)
class _Trial:
    """What both models have to do."""

    worker: Worker
    tokenizer: PreTrainedTokenizerBase
    sets: list[RowSet]
    prompts: list[prompts.Prompt]
    asked: Evaluation

    def of(self, name: str, model: PreTrainedModel) -> _Result:
        losses = [self._losses(f"Measuring {name} on {rows.name}", model, rows) for rows in self.sets]
        asked, told = [prompt.ids for prompt in self.prompts], partial(self.worker.progress, f"Asking {name}")
        said = answers(model, self.tokenizer, asked, self.asked.longest_answer, told)
        if not self.asked.tasks:
            return _Result(losses, said, {})
        self.worker.progress(f"Known tests of {name}", 0, 1)
        return _Result(losses, said, tasks.scores(model, self.tokenizer, self.asked.tasks, self.asked.most_rows))

    def _losses(self, what: str, model: PreTrainedModel, rows: RowSet) -> np.ndarray:
        measured, told = rows.conversations, partial(self.worker.progress, what)
        found = row_losses(base_of(model), measured, ROWS_AT_ONCE, lambda done: told(done, len(measured)))
        return found.reshape(-1, 2, 2) if rows.pairs else found

    def findings(self, base: _Result, tuned: _Result) -> Findings:
        measured = [
            found
            for rows, before, after in zip(self.sets, base.losses, tuned.losses, strict=True)
            for found in _compared(rows, before, after)
        ]
        said = zip(self.prompts, base.answers, tuned.answers, strict=True)
        shown = [Answer(prompt.text, one, two, prompt.expected) for prompt, one, two in said]
        return Findings(measured, shown, tasks.compared(base.scores, tuned.scores))


def _compared(rows: RowSet, base: np.ndarray, tuned: np.ndarray) -> Iterator[Compared]:
    """The whole set, then each of its data sets where there are several."""
    compare = compared_pairs if rows.pairs else partial(compared, general=rows.general)
    yield compare(rows.name, base, tuned)
    for number in np.unique(rows.source) if len(rows.names) > 1 else ():
        of_source = rows.source == number
        yield compare(rows.names[number], base[of_source], tuned[of_source])
