"""Two thousand malformed files: each is read, with its bad rows listed, or refused in a clear sentence. Nothing else."""

import re
import resource
import time
from itertools import islice
from pathlib import Path

import pytest

from core import home
from core.data import sources
from core.data.bad_rows import BadRows
from core.data.conversation import RowProblem
from core.data.formats.recognise import reading_of
from core.data.readers.row import RawRow
from core.data.report import SourceCount
from core.errors import StudioError
from core.recipe_data import Source
from tests.malformed import KINDS, malformed
from tests.test_data import prepared
from tests.toy_model import make_toy_model

FILES, AT_ONCE = 2_000, 125
LONGEST_S = 20
MOST_MEMORY_KB = 1_000_000  # as ru_maxrss counts
LONGEST_SENTENCE = 2_600  # ten rows of 200 characters each, and their places
OF_THE_MACHINE = re.compile(r"Traceback|<class |<\w+ object|object at |\b0x[0-9a-f]{6,}|\b\w+(?:Error|Exception)\(")


def source_of(path: Path, seed: int) -> Source:
    """A third of the files may hold no bad row, a third half of them, a third nothing else."""
    return Source(source=str(path), bad_rows=seed % 3 / 2)


def read_through(source: Source) -> BadRows:
    """Everything a preparation does before it needs a tokenizer."""
    opened = sources.open_source(source)
    bad = BadRows(source, opened.total, SourceCount(source.source, source.layout, opened.fingerprint))
    reading, number = None, 0
    for batch in iter(lambda: list(islice(opened.rows, 500)), []):
        names = list(dict.fromkeys(name for row in batch for name in row.values))
        reading = reading or (reading_of(source, names) if names else None)
        for row in batch:
            set_aside(row, reading, bad)
        number += len(batch)
    bad.judge(number)
    return bad


def set_aside(row: RawRow, reading, bad: BadRows) -> None:
    try:
        if row.problem or not row.values:
            raise RowProblem(row.problem or "has no columns")
        reading.conversation(row.values)
    except RowProblem as problem:
        bad.add(row, str(problem))


def said_of(path: Path, seed: int) -> list[str]:
    """What a person is told of this file: why it is refused, or of each of its first bad rows."""
    try:
        return read_through(source_of(path, seed)).first
    except StudioError as error:
        return [str(error)]


def wrong_with(sentence: str, name: str) -> str | None:
    """Why a sentence is not one for a person."""
    if name not in sentence:
        return "does not say which file"
    if not sentence.endswith((".", '"')) or len(sentence) > LONGEST_SENTENCE:
        return "does not end"
    if OF_THE_MACHINE.search(sentence):
        return "shows what is inside"
    if re.search("[\ud800-\udfff]", sentence):
        return "can be written into no file"
    return None


@pytest.mark.parametrize("first", range(0, FILES, AT_ONCE))
def test_two_thousand_malformed_files_are_read_or_refused_in_a_clear_sentence(tmp_path, first):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unclear = {}
    for seed in range(first, first + AT_ONCE):
        case = malformed(seed)
        path = tmp_path / case.name
        path.write_bytes(case.content)
        begun = time.monotonic()
        said = said_of(path, seed)
        assert time.monotonic() - begun < LONGEST_S, case.name
        unclear |= {why + ": " + one: seed for one in said if (why := wrong_with(one, case.name))}
        path.unlink()
    assert not unclear
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY_KB


def test_the_malformed_files_are_of_every_kind_and_always_the_same():
    assert {Path(malformed(seed).name).suffix for seed in range(len(KINDS))} == set(KINDS)
    assert [malformed(seed).content for seed in range(40)] == [malformed(seed).content for seed in range(40)]


def test_the_malformed_files_reach_every_depth_of_the_reading(tmp_path):
    """Files that all fail at the first byte would prove nothing."""
    depths = {"read": 0, "bad rows": 0, "refused rows": 0, "refused": 0}
    for seed in range(0, 2_000, 7):
        case = malformed(seed)
        (tmp_path / case.name).write_bytes(case.content)
        said = said_of(tmp_path / case.name, seed)
        whole = bool(said) and ("bad_rows" in said[0] or "Correct or remove the row" in said[0])
        row = bool(said) and said[0].startswith(f"{case.name}, ") and not whole
        depths["read" if not said else "refused rows" if whole else "bad rows" if row else "refused"] += 1
    assert all(number >= 20 for number in depths.values()), depths


@pytest.mark.process
def test_a_malformed_file_becomes_a_whole_set_or_none(tmp_path):
    toy = make_toy_model(tmp_path / "toy")
    outcomes = []
    for seed in range(200, 260):
        case = malformed(seed)
        (tmp_path / case.name).write_bytes(case.content)
        sets = set(home.prepared_folder().glob("*"))
        try:
            prepared(toy, source_of(tmp_path / case.name, seed).model_dump(include={"source", "bad_rows"}))
        except StudioError:
            outcomes.append(False)
            assert set(home.prepared_folder().glob("*")) == sets
        else:
            outcomes.append(True)
    assert {True, False} == set(outcomes)
    assert all((folder / "report.json").exists() for folder in home.prepared_folder().iterdir())
    assert not list(home.prepared_folder().glob(".*"))
