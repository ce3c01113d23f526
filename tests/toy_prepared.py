"""A prepared data set, written as a preparation would have left it: job folder, rows with tokens, report."""

import json
from collections import Counter
from itertools import accumulate

import numpy as np

from core import home
from core.data.fates import Cleaned, Fate
from core.data.pool import Pool
from core.data.report import Report, SourceCount
from core.data.store import EncodedRow, EncodedRows, RowWriter, batches_of
from core.files import write_whole
from core.jobs.folder import Job
from core.jobs.preflight import located
from core.jobs.worker import Worker
from core.recipe import Recipe
from core.recipe_yaml import to_yaml

Words = list[tuple[str, bool, bool]]  # text, trained on, special
HELLO: Words = [("<|im_start|>", False, True), ("user", False, False), ("\n", False, False), ("Hi", False, False)]
ANSWER: Words = [("Hello", True, False), (" there", True, False), ("<|im_end|>", True, True)]
SPECIAL = 1_000  # ids from here on are special


def make_prepared(recipe: Recipe, rows: list[Words] | None = None, key: str = "0123456789abcdef", lengths=None) -> Job:
    """The finished prepare job of this recipe; the first row is held out. `lengths` are in tokens, before the cut."""
    rows = rows or [HELLO + ANSWER] * 4
    lengths = lengths or [len(words) for words in rows]
    cleaned = Cleaned(Pool(_encoded(recipe, rows, key, lengths)), recipe)
    cleaned.decide(np.array([0]), Fate.HELD_OUT)
    train = cleaned.rows("train")
    counts = [_counted(source.source, len(rows)) for source in recipe.data.sources]
    report = Report(recipe, counts, cleaned, train).as_dict()
    report |= {"packing": {"rows": 1, "filled": 0.5}, "special_ids": list(range(SPECIAL, 2 * SPECIAL))}
    files = home.prepared_files(key)
    files.folder.mkdir(parents=True)
    np.save(files.train, train)
    np.save(files.held_out, [0])
    np.save(files.fates, cleaned.fates)
    write_whole(files.report, json.dumps(report))
    return _finished_job(recipe, key, len(rows))


def _encoded(recipe: Recipe, rows: list[Words], key: str, lengths: list[int]) -> list[EncodedRows]:
    """The same rows for every source."""
    found = []
    for source in range(len(recipe.data.sources)):
        files = home.encoded_files(f"{key}-{source}")
        files.folder.mkdir(parents=True)
        with RowWriter(files) as writer:
            writer.write(batches_of([_row(words, number, lengths, recipe) for number, words in enumerate(rows)]))
        write_whole(files.report, "{}")
        found.append(EncodedRows(files))
    return found


def _row(words: Words, number: int, lengths: list[int], recipe: Recipe) -> EncodedRow:
    texts, trained, special = zip(*words, strict=True)
    limit = recipe.data.max_length
    ids = [place + SPECIAL * flag for place, flag in enumerate(special)][:limit]
    length = lengths[min(number, len(lengths) - 1)]
    return EncodedRow(
        input_ids=ids,
        labels=[id if flag else -100 for id, flag in zip(ids, trained[: len(ids)], strict=True)],
        row=number + 1,
        length=length,
        supervised=sum(trained[:limit]),
        lost=max(0, length - limit),
        body=0,
        digest=number,
        text="".join(texts),
        ends=list(accumulate(len(text) for text in texts)),
    )


def _counted(source: str, rows: int) -> SourceCount:
    return SourceCount(source, "messages", "toy", rows_read=rows + 1, dropped=Counter({"has no assistant turn": 1}))


def _finished_job(recipe: Recipe, key: str, rows: int) -> Job:
    job = Job(home.job_folder(f"20261123-101502-prepare-{key[:4]}"))
    write_whole(job.files.recipe, to_yaml(located(recipe)))
    worker = Worker(job)
    worker.event("created", kind="prepare")
    worker.event("prepared", key=key, rows=rows - 1, held_out_rows=1, tokens=0, supervised_tokens=0, cached=False)
    worker.finish("finished", f"{rows - 1} rows are ready to train on, 1 is held out.")
    return job
