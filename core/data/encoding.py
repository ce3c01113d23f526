"""One data set as tokens and labels, on disk. It is named by the hash of everything that shapes it, and made once.

Whatever mixes, cleans or holds out rows works on this: another weight, or another data set beside it, costs no tokenising.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psutil
from transformers import PreTrainedTokenizerBase

from core import home
from core.data import tokens
from core.data.bad_rows import BadRows
from core.data.conversation import Conversation, PlainText, RowProblem
from core.data.formats.recognise import Reading, reading_of
from core.data.readers.row import RawRow
from core.data.report import SourceCount
from core.data.sources import Opened
from core.data.store import EncodedRow, EncodedRows, RowWriter
from core.files import read_json, write_whole
from core.jobs.worker import Worker
from core.recipe import Recipe

# Raised when the making of tokens or labels changes, so that rows made before are not used.
VERSION = 2
BATCH_ROWS = 500
BATCH_CHARACTERS = 10_000_000
SAMPLE_ROWS = 50
NOT_READING = {"use", "weight"}


@dataclass(frozen=True)
class Encoder:
    """What turns rows into tokens and labels."""

    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe

    @cached_property
    def template(self) -> str:
        """Looked at when the first conversation comes: plain text needs none. Raises DataError."""
        return tokens.training_template(self.tokenizer)

    @cached_property
    def identity(self) -> list[str]:
        """What of the model shapes the tokens."""
        vocabulary = self.tokenizer.backend_tokenizer.to_str()
        return [hashlib.sha256(vocabulary.encode()).hexdigest(), self.tokenizer.chat_template or ""]

    def key(self, opened: Opened) -> str:
        """Everything that shapes the rows of a data set, as 16 hex digits."""
        data = self.recipe.data
        asked = opened.source.model_dump(mode="json", exclude=NOT_READING)
        shape = [VERSION, asked, opened.fingerprint, data.max_length, data.train_on, self.identity]
        return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]

    def rendered(self, said: Conversation | PlainText) -> "Rendered":
        text, spans = tokens.rendered(said, self.tokenizer, self.template if isinstance(said, Conversation) else "")
        whole = digest_of(said)
        return Rendered(
            text, [(0, len(text))] if self.recipe.data.train_on == "all" else spans, _body(said, text), whole
        )

    def tokenized(self, rows: list["Rendered"]) -> list[Any]:
        return tokens.tokenized([row.text for row in rows], self.tokenizer)


@dataclass(frozen=True)
class Rendered:
    """One row as text: what is learned of it, the character at which it begins to differ, and its digest."""

    text: str
    spans: list[tokens.Span]
    body: int
    digest: int

    def encoded(self, number: int, found: Any, max_length: int) -> EncodedRow:
        """Cut to the limit, with what was lost by that."""
        whole = tokens.encoded(self.text, self.spans, found)
        labels = whole.labels[:max_length]
        supervised = len(labels) - labels.count(tokens.IGNORED)
        return EncodedRow(
            input_ids=whole.input_ids[:max_length],
            labels=labels,
            row=number,
            length=len(whole.input_ids),
            supervised=supervised,
            lost=whole.supervised - supervised,
            body=min(tokens.first_token(whole.offsets, self.body), max_length),
            digest=self.digest,
            text=self.text,
            ends=[end for _, end in whole.offsets],
        )


def digest_of(said: Conversation | PlainText) -> int:
    """The same 63 bits for the same turns, whatever layout they came in."""
    turns = [said.text] if isinstance(said, PlainText) else [said.messages, said.tools]
    written = json.dumps(turns, sort_keys=True, default=str).encode()
    return int.from_bytes(hashlib.blake2b(written, digest_size=8).digest(), "big") >> 1


def _body(said: Conversation | PlainText, text: str) -> int:
    """Where the first turn begins that is not the system's: a system prompt that all rows share makes none alike."""
    if isinstance(said, PlainText):
        return 0
    first = next((message["content"] for message in said.messages if message["role"] != "system"), "")
    return max(0, text.find(first.strip()[:200]))


def encoded_source(worker: Worker, opened: Opened, encoder: Encoder) -> tuple[SourceCount, EncodedRows]:
    """The rows of a data set, encoded now or found from before; raises DataError where too many cannot be used."""
    files = home.encoded_files(encoder.key(opened))
    if not files.report.exists():
        _make(worker, opened, encoder, files)
    return SourceCount.from_row(read_json(files.report) or {}), EncodedRows(files)


def _make(worker: Worker, opened: Opened, encoder: Encoder, files: home.EncodedFiles) -> None:
    """Encode aside and rename when it is whole."""
    _sweep()
    aside = home.encoded_aside(files.folder.name)
    shutil.rmtree(aside.folder, ignore_errors=True)
    aside.folder.mkdir(parents=True)
    try:
        with RowWriter(aside) as writer:
            counted = _read(worker, opened, encoder, writer)
        write_whole(aside.report, json.dumps(counted.as_row()))
        if not files.report.exists():
            shutil.rmtree(files.folder, ignore_errors=True)
            aside.folder.rename(files.folder)
    finally:
        shutil.rmtree(aside.folder, ignore_errors=True)


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
    with ThreadPoolExecutor(1) as pool:
        for rows, texts, found in _ahead(_batches(worker, opened, encoder, counted, bad), encoder, pool):
            writer.write(
                [
                    text.encoded(row.number, one, encoder.recipe.data.max_length)
                    for row, text, one in zip(rows, texts, found.result(), strict=True)
                ]
            )
    bad.judge(counted.rows_read)
    counted.problems = bad.first
    if bad.number:
        worker.warning(f"{bad.number:,} of {counted.rows_read:,} rows were set aside. The first: {bad.first[0]}")
    return counted


Batch = tuple[list[RawRow], list[Rendered]]


def _ahead(
    batches: Iterable[Batch], encoder: Encoder, pool: ThreadPoolExecutor
) -> Iterator[tuple[list[RawRow], list[Rendered], Future]]:
    """Each batch while the next one is being tokenised: Rust works there, Python here."""
    waiting = None
    for rows, texts in batches:
        begun = pool.submit(encoder.tokenized, texts)
        if waiting:
            yield waiting
        waiting = rows, texts, begun
    if waiting:
        yield waiting


def _batches(worker: Worker, opened: Opened, encoder: Encoder, counted: SourceCount, bad: BadRows) -> Iterator[Batch]:
    """The rows that can be used, and each as text; the others are set aside."""
    reading = None
    for batch in _filled(opened.rows):
        if reading is None and (names := _columns(batch)):
            reading = reading_of(opened.source, names, [row.values for row in batch if row.values][:SAMPLE_ROWS])
            counted.layout, counted.confidence = reading.layout.NAME, round(reading.confidence, 3)
        counted.rows_read += len(batch)
        if good := list(_good(batch, reading, encoder, bad)):
            rows, texts = zip(*good, strict=True)
            yield list(rows), list(texts)
        total = opened.total or counted.rows_read
        worker.progress(f"Making tokens of {opened.source.source}", counted.rows_read, total)


def _filled(rows: Iterator[RawRow]) -> Iterator[list[RawRow]]:
    """Rows in batches, smaller ones where the rows are large."""
    batch, size = [], 0
    for row in rows:
        batch.append(row)
        # Nested values are not measured: it is the cells of tables and plain text that grow large.
        size += sum(len(value) for value in row.values.values() if isinstance(value, str))
        if len(batch) == BATCH_ROWS or size > BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _good(
    batch: list[RawRow], reading: Reading | None, encoder: Encoder, bad: BadRows
) -> Iterator[tuple[RawRow, Rendered]]:
    for row in batch:
        try:
            if row.problem or not row.values:
                raise RowProblem(row.problem or "has no columns")
            yield row, encoder.rendered(reading.conversation(row.values))
        except RowProblem as problem:
            bad.add(row, str(problem))


def _columns(batch: list[RawRow]) -> list[str]:
    """Every column that one of the rows has, in the order of their first use: JSON leaves out what is empty."""
    return list(dict.fromkeys(name for row in batch for name in row.values))
