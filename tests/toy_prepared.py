"""A prepared data set, written as a preparation would have left it: job folder, report, sample of rows with tokens."""

import json
from collections import Counter

from core import home
from core.data.report import Count, SourceCount
from core.files import append_line, write_whole
from core.jobs.folder import Job
from core.jobs.preflight import located
from core.jobs.worker import Worker
from core.recipe import Recipe
from core.recipe_yaml import to_yaml

Words = list[tuple[str, bool, bool]]  # text, trained on, special
HELLO: Words = [("<|im_start|>", False, True), ("user", False, False), ("\n", False, False), ("Hi", False, False)]
ANSWER: Words = [("Hello", True, False), (" there", True, False), ("<|im_end|>", True, True)]


def make_prepared(recipe: Recipe, rows: list[Words] | None = None, key: str = "0123456789abcdef", lengths=None) -> Job:
    """The finished prepare job of this recipe; the first row is held out. `lengths` are in tokens, before the cut."""
    rows = rows or [HELLO + ANSWER] * 4
    source = recipe.data.sources[0].source
    files = home.prepared_files(key)
    files.folder.mkdir(parents=True)
    for index, words in enumerate(rows):
        append_line(files.sample, {"index": index, "source": source, "row": index + 1} | _shown(words))
    write_whole(files.held_out, "[0]")
    write_whole(files.report, json.dumps(_report(recipe, rows, lengths)))
    return _finished_job(recipe, key, len(rows))


def _shown(words: Words) -> dict:
    texts, trained, special = zip(*words, strict=True)
    flags = {"trained": [int(flag) for flag in trained], "special": [int(flag) for flag in special]}
    return {"texts": list(texts), "ids": list(range(len(words))), "cut": 0} | flags


def _report(recipe: Recipe, rows: list[Words], lengths: list[int] | None) -> dict:
    longest = recipe.data.max_length
    count = Count(longest, lengths=lengths or [len(words) for words in rows])
    count.cut_rows = sum(length > longest for length in count.lengths)
    counted = SourceCount(recipe.data.sources[0].source, "messages", "toy", rows_read=len(rows) + 1, rows=len(rows))
    counted.tokens = sum(len(words) for words in rows)
    counted.supervised_tokens = sum(trained for words in rows for _, trained, _ in words)
    counted.dropped = Counter({"nothing left to learn after the cut": 1})
    count.sources.append(counted)
    return count.report(held_out_rows=1)


def _finished_job(recipe: Recipe, key: str, rows: int) -> Job:
    job = Job(home.job_folder(f"20261123-101502-prepare-{key[:4]}"))
    write_whole(job.files.recipe, to_yaml(located(recipe)))
    worker = Worker(job)
    worker.event("created", kind="prepare")
    worker.event("prepared", key=key, rows=rows - 1, held_out_rows=1, tokens=0, supervised_tokens=0, cached=False)
    worker.finish("finished", f"{rows - 1} rows are ready to train on, 1 is held out.")
    return job
