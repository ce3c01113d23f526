"""Prepare data: read the sources, make tokens and labels, hold rows out, count. As a job, and as the training's first act.

A prepared set is named by the hash of everything that shapes it, made aside and renamed, so it is whole or not there.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

from core import home
from core.data import sources, tokens
from core.data.bad_rows import BadRows
from core.data.conversation import RowProblem
from core.data.formats.recognise import Reading, reading_of
from core.data.readers.row import RawRow
from core.data.report import Count, SourceCount
from core.data.store import RowWriter, held_out_rows
from core.errors import DataError
from core.files import append_line, read_json, write_whole
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.models.load import Found, fetch, load_tokenizer
from core.recipe import Recipe
from core.recipe_sections import Source
from core.where import Place, place_of

# Raised when the making of tokens or labels changes, so that sets made before are not used.
VERSION = 1
BATCH_ROWS = 500
SAMPLE_ROWS_PER_SOURCE = 100


def run(worker: Worker) -> None:
    """The prepare job."""
    report, _ = prepare(worker, find_model(worker, weights=False))
    worker.finish(
        "finished", f"{report['rows']:,} rows are ready to train on, {report['held_out_rows']:,} are held out."
    )


def find_model(worker: Worker, revision: str | None = None, weights: bool = True) -> Found:
    """Fetch the recipe's model, or only what its tokenizer needs, and write down what it is."""
    model = worker.job.recipe.model
    worker.progress(f"Looking for {model.source}", 0, 1)
    found = fetch(model.source, revision or model.revision, worker.progress, weights)
    worker.resolve(model={"source": model.source, "revision": found.revision})
    return found


def prepare(worker: Worker, found: Found) -> tuple[dict[str, Any], home.PreparedFiles]:
    """The prepared set of the worker's recipe, made now or found from before; raises DataError."""
    recipe = worker.job.recipe
    worker.progress("Opening the data", 0, 1)
    tokenizer = load_tokenizer(found, recipe.model.chat_template)
    template = tokens.training_template(tokenizer)
    opened = [sources.open_source(source) for source in _pinned(worker.job)]
    files = home.prepared_files(_key(recipe, tokenizer, template, [source.fingerprint for source in opened]))
    cached = files.report.exists()
    if not cached:
        _make(worker, files, opened, _Encoder(tokenizer, template, recipe))
    report = read_json(files.report) or {}
    worker.resolve(data=[{"source": s["source"], "fingerprint": s["fingerprint"]} for s in report["sources"]])
    counts = {name: report[name] for name in ("rows", "held_out_rows", "tokens", "supervised_tokens")}
    worker.event("prepared", key=files.folder.name, cached=cached, **counts)
    return report, files


def _pinned(job: Job) -> list[Source]:
    """The recipe's sources; those on the Hub at the commit this job has begun with, if it has begun before."""
    known = job.resolved.get("data")
    commits = (
        [found.get("fingerprint") for found in known if isinstance(found, dict)] if isinstance(known, list) else []
    )
    asked = job.recipe.data.sources
    if len(commits) != len(asked):
        return asked
    return [
        source.model_copy(update={"revision": commit}) if place_of(source.source) is Place.HUB else source
        for source, commit in zip(asked, commits, strict=True)
    ]


def _key(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, template: str, fingerprints: list[str]) -> str:
    """Everything that shapes the prepared set, as 16 hex digits."""
    shape = [
        VERSION,
        # Packing is done by the trainer, on the very same rows.
        recipe.data.model_dump(mode="json", exclude={"packing"}),
        recipe.training.seed,
        hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
        template,
        fingerprints,
    ]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class _Encoder:
    """What is needed to turn a row into tokens and labels."""

    tokenizer: PreTrainedTokenizerBase
    template: str
    recipe: Recipe

    def render(self, row: RawRow, reading: Reading | None) -> tuple[str, list[tokens.Span]]:
        if row.problem or not row.values:
            raise RowProblem(row.problem or "has no columns")
        return tokens.render(reading.conversation(row.values).messages, self.tokenizer, self.template)

    def encode(self, rendered: list[tuple[str, list[tokens.Span]]]) -> list[tokens.Encoded]:
        texts, spans = zip(*rendered, strict=True)
        return tokens.encode(list(texts), list(spans), self.tokenizer, self.recipe.data.train_on)


def _make(worker: Worker, files: home.PreparedFiles, opened: list[sources.Opened], encoder: _Encoder) -> None:
    """Make the set aside and rename it when it is whole."""
    aside = home.prepared_aside(files.folder.name)
    shutil.rmtree(aside.folder, ignore_errors=True)
    aside.folder.mkdir(parents=True)
    try:
        count = Count(encoder.recipe.data.max_length)
        with RowWriter(aside.rows) as writer:
            for number, source in enumerate(opened):
                _read(worker, source, _Sink(aside, writer, count, encoder, number))
        _finish(aside, count, encoder.recipe)
        if not files.report.exists():
            shutil.rmtree(files.folder, ignore_errors=True)
            aside.folder.rename(files.folder)
    finally:
        shutil.rmtree(aside.folder, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class _Sink:
    """Where the rows of one source go."""

    files: home.PreparedFiles
    writer: RowWriter
    count: Count
    encoder: _Encoder
    number: int

    def take(self, rows: list[RawRow], rendered: list[tuple[str, list[tokens.Span]]]) -> None:
        """Cut, count, write; a row whose every label was cut off is dropped and counted."""
        counted = self.count.sources[-1]
        kept, numbers = [], []
        for row, encoded in zip(rows, self.encoder.encode(rendered), strict=True):
            self.count.lengths.append(len(encoded.input_ids))
            short = _cut(encoded, self.count.max_length)
            self.count.cut_rows += len(short.input_ids) < len(encoded.input_ids)
            self.count.cut_supervised_tokens += encoded.supervised - short.supervised
            if not short.supervised:
                counted.dropped["nothing left to learn after the cut"] += 1
                continue
            self._sample(row, encoded, len(short.input_ids), counted)
            _add(counted, short)
            kept.append(short)
            numbers.append(row.number)
        self.writer.write(kept, self.number, numbers)

    def _sample(self, row: RawRow, encoded: tokens.Encoded, length: int, counted: SourceCount) -> None:
        if counted.rows < SAMPLE_ROWS_PER_SOURCE:
            index = sum(source.rows for source in self.count.sources)
            values = {"index": index, "source": counted.source, "row": row.number}
            append_line(self.files.sample, values | shown(encoded, length, self.encoder.tokenizer))


def _read(worker: Worker, opened: sources.Opened, sink: _Sink) -> None:
    """All rows of one source; raises DataError where too many cannot be used."""
    counted = SourceCount(opened.source.source, opened.source.layout, opened.fingerprint)
    sink.count.sources.append(counted)
    bad = BadRows(opened.source, opened.total, counted)
    reading = None
    for batch in _batches(opened):
        if reading is None and (names := _columns(batch)):
            reading = reading_of(opened.source, names)
            counted.layout = reading.layout.NAME
        rows, rendered = _rendered(batch, sink.encoder, reading, bad)
        if rows:
            sink.take(rows, rendered)
        counted.rows_read += len(batch)
        worker.progress(
            f"Making tokens of {opened.source.source}", counted.rows_read, opened.total or counted.rows_read
        )
    bad.judge(counted.rows_read)
    sink.count.problems += bad.first
    if bad.number:
        worker.warning(f"{bad.number:,} of {counted.rows_read:,} rows were set aside. The first: {bad.first[0]}")


def _rendered(
    batch: list[RawRow], encoder: _Encoder, reading: Reading | None, bad: BadRows
) -> tuple[list[RawRow], list[tuple[str, list[tokens.Span]]]]:
    """The rows that can be used, and each as text with its spans; the others are set aside."""
    rows, rendered = [], []
    for row in batch:
        try:
            rendered.append(encoder.render(row, reading))
            rows.append(row)
        except RowProblem as problem:
            bad.add(row, str(problem))
    return rows, rendered


def _columns(batch: list[RawRow]) -> list[str]:
    """Every column that one of the rows has, in the order of their first use: JSON leaves out what is empty."""
    return list(dict.fromkeys(name for row in batch for name in row.values))


def _batches(opened: sources.Opened) -> Iterator[list[RawRow]]:
    return iter(lambda: list(islice(opened.rows, BATCH_ROWS)), [])


def _cut(encoded: tokens.Encoded, max_length: int) -> tokens.Encoded:
    ids, labels = encoded.input_ids[:max_length], encoded.labels[:max_length]
    return dataclasses.replace(encoded, input_ids=ids, labels=labels)


def _add(counted: SourceCount, row: tokens.Encoded) -> None:
    counted.rows += 1
    counted.tokens += len(row.input_ids)
    counted.supervised_tokens += row.supervised


def shown(encoded: tokens.Encoded, length: int, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """A row for the viewer: each token's text, id, whether it is trained on and whether it is special."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    ids = encoded.input_ids[:length]
    texts, written = [], 0
    for first, last in encoded.offsets[:length]:
        # The bytes of one character may be several tokens: the first of them shows it.
        texts.append(encoded.text[max(first, written) : max(last, written)])
        written = max(last, written)
    return {
        "texts": texts,
        "ids": ids,
        "trained": [int(label != tokens.IGNORED) for label in encoded.labels[:length]],
        "special": [int(token in special) for token in ids],
        "cut": len(encoded.input_ids) - length,
    }


def _finish(files: home.PreparedFiles, count: Count, recipe: Recipe) -> None:
    """Decide what is held out, and write the report last."""
    rows = sum(source.rows for source in count.sources)
    if not rows:
        raise DataError(
            "No row is left to train on: every one was dropped. Raise data.max_length, or check the sources."
        )
    held_out = held_out_rows(rows, recipe.data.eval_fraction, recipe.training.seed)
    write_whole(files.held_out, json.dumps(held_out))
    write_whole(files.report, json.dumps(count.report(len(held_out))))
