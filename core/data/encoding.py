"""One data set as tokens and labels, on disk. It is named by the hash of everything that shapes it, and made once.

Whatever mixes, cleans or holds out rows works on this: another weight, or another data set beside it, costs no tokenising.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import psutil
import pyarrow as pa

from core import home
from core.data import hands
from core.data.bad_rows import BadRows
from core.data.conversation import Conversation, Pair, PlainText, RowProblem
from core.data.encoder import Encoder
from core.data.formats.recognise import Reading, reading_of
from core.data.readers.row import BATCH_ROWS, RawRow, columns_of, next_batch
from core.data.report import SourceCount
from core.data.sources import Opened
from core.data.store import EncodedRows, RowWriter, batches_of
from core.data.unpaired import unpaired
from core.errors import DataError
from core.files import read_json, whole_folder, write_whole
from core.jobs.worker import Worker

SAMPLE_ROWS = 50


def encoded_source(worker: Worker, opened: Opened, encoder: Encoder) -> tuple[SourceCount, EncodedRows]:
    """The rows of a data set, encoded now or found from before; raises DataError where too many cannot be used."""
    files = home.encoded_files(encoder.key(opened))
    if not files.report.exists():
        _make(worker, opened, encoder, files)
    counted = SourceCount.from_row(read_json(files.report) or {})
    counted.source = opened.source.source  # it may have been encoded under another name
    return counted, EncodedRows(files)


def _make(worker: Worker, opened: Opened, encoder: Encoder, files: home.EncodedFiles) -> None:
    """Encode aside and rename when it is whole."""
    _sweep()
    aside = home.encoded_aside(files.folder.name)
    with whole_folder(aside.folder, files.folder, files.report):
        with RowWriter(aside) as writer:
            counted = _read(worker, opened, encoder, writer)
        write_whole(aside.report, json.dumps(counted.as_row()))


def _sweep() -> None:
    """Take away what killed processes left half made."""
    for folder in [*home.encoded_folder().glob(".*-*"), *home.prepared_folder().glob(".*-*")]:
        maker = folder.name.rpartition("-")[2]
        if maker.isdecimal() and int(maker) != os.getpid() and not psutil.pid_exists(int(maker)):
            shutil.rmtree(folder, ignore_errors=True)


def _read(worker: Worker, opened: Opened, encoder: Encoder, writer: RowWriter) -> SourceCount:
    """All rows of a data set, written; raises DataError where too many cannot be used."""
    counted = SourceCount(opened.source.source, opened.source.layout, opened.fingerprint)
    bad = BadRows(opened.source, opened.total, counted)
    for batch, done in _worked(opened, encoder, counted):
        for place, problem in done.problems:
            bad.add(batch[place], problem)
        writer.write(done.rows)
        counted.rows_read += len(batch)
        total = opened.total or counted.rows_read
        worker.progress(f"Making tokens of {opened.source.source}", counted.rows_read, total)
    bad.judge(counted.rows_read)
    counted.problems = bad.first
    if bad.number:
        worker.warning(f"{bad.number:,} of {counted.rows_read:,} rows were set aside. The first: {bad.first[0]}")
    return counted


@dataclass(frozen=True)
class _Done:
    """What became of a batch: its rows as Arrow batches, and the places of those that cannot be used, each with why."""

    rows: list[pa.RecordBatch]
    problems: list[tuple[int, str]]


@dataclass(frozen=True)
class _Work:
    """The work on one batch."""

    encoder: Encoder
    reading: Reading | None

    def __call__(self, batch: list[RawRow]) -> _Done:
        good, problems = [], []
        for place, row in enumerate(batch):
            try:
                if row.problem or not row.values:
                    raise RowProblem(row.problem or "has no columns")
                good.append((row.number, self.encoder.rendered(self._said(row))))
            except RowProblem as problem:
                problems.append((place, str(problem)))
        return _Done(batches_of(self.encoder.encoded(good)) if good else [], problems)

    def _said(self, row: RawRow) -> Conversation | PlainText | Pair:
        return (self.reading.pair if self.encoder.pairs else self.reading.conversation)(row.values)


def _worked(opened: Opened, encoder: Encoder, counted: SourceCount) -> Iterator[tuple[list[RawRow], _Done]]:
    """Each batch of a data set with what became of it; small data is not worth other processes."""
    batches = iter(lambda: list(next_batch(opened.rows)), [])
    for batch in batches:
        if names := columns_of(batch):
            reading = reading_of(opened.source, names, [row.values for row in batch if row.values][:SAMPLE_ROWS])
            _check_pairs(opened, encoder, reading)
            counted.layout, counted.confidence = reading.layout.NAME, round(reading.confidence, 3)
            processes = hands.how_many() if len(batch) == BATCH_ROWS else 1
            yield from hands.worked(_Work(encoder, reading), chain([batch], batches), processes)
            return
        yield batch, _Work(encoder, None)(batch)


def _check_pairs(opened: Opened, encoder: Encoder, reading: Reading) -> None:
    if problem := unpaired(encoder.recipe, opened.source.source, reading.layout.NAME):
        raise DataError(problem)
