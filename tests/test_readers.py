"""Files of every kind are read row by row with each row's place; whatever is wrong with one is a sentence, never a crash."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data import sources
from core.data.readers import json_list, lines, parquet
from core.data.readers.row import RawRow
from core.data.readers.table import READERS
from core.errors import DataError
from core.home import ROOT
from core.jobs.preflight import check
from core.recipe import parse
from core.recipe_data import Source
from studio.uploads import safe_suffix

FAQ = [{"question": "Why?", "answer": "So.\nTruly."}, {"question": 'A "b", c;\td', "answer": "ü 日本\u2028 👩‍👩‍👧"}]
QUOTED = [[row["question"].replace('"', '""'), row["answer"]] for row in FAQ]


def delimited(separator: str) -> bytes:
    body = [separator.join(f'"{cell}"' for cell in cells) for cells in QUOTED]
    return "\r\n".join([separator.join(["question", "answer"]), *body, ""]).encode()


def in_parquet(rows: list[dict], folder: Path) -> bytes:
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "made")
    return (folder / "made").read_bytes()


def written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def read(path: Path, **source) -> list[RawRow]:
    return list(sources.open_source(Source(source=str(path), **source)).rows)


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("faq.jsonl", "\n\n".join(json.dumps(row, ensure_ascii=False) for row in FAQ), ["line 1", "line 3"]),
        ("faq.json", json.dumps(FAQ, indent=1), ["row 1 (line 2)", "row 2 (line 6)"]),
        ("faq.JSON", json.dumps({"version": 2, "tags": ["x"], "data": FAQ}), ["row 1", "row 2"]),
        ("faq.csv", delimited(","), ["line 2", "line 4"]),
        ("semicolons.csv", delimited(";"), ["line 2", "line 4"]),
        ("faq.tsv", delimited("\t"), ["line 2", "line 4"]),
        ("bom.csv", b"\xef\xbb\xbf" + delimited(","), ["line 2", "line 4"]),
        ("bom.json", b"\xef\xbb\xbf" + json.dumps(FAQ).encode(), ["row 1 (line 1)", "row 2 (line 1)"]),
        ("faq.parquet", None, ["row 1", "row 2"]),
    ],
)
def test_the_same_rows_are_read_from_every_kind_of_file(tmp_path, name, content, places):
    content = in_parquet(FAQ, tmp_path) if content is None else content
    rows = read(written(tmp_path, name, content if isinstance(content, bytes) else content.encode()))
    assert [row.values for row in rows] == FAQ
    assert [row.where for row in rows] == [f"{name}, {place}" for place in places]


@pytest.mark.parametrize(
    ("before", "header", "after"),
    [
        ("sep=;\r\n", "a;b", ""),
        ('\ufeff"sep=|"\r\n', "a|b", ""),
        ("\r\n \r\n", "a;b", ""),
        ("", '"a";"b"', ";\r\n; \r\n" * 30),
        ("", "a,b", ",\r\n"),
    ],
)
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path, before, header, after):
    cells = header.replace("a", "x").replace("b", "y")
    content = f"{before}{header}\r\n{cells}\r\n{after}{cells}\r\n"
    rows = read(written(tmp_path, "a.csv", content.encode()))
    lines = before.count("\n") + 2, (before + after).count("\n") + 3
    assert [(row.values, row.number) for row in rows] == [({"a": "x", "b": "y"}, line) for line in lines]


@pytest.mark.parametrize("header", ['"a, or b";"c"', "a, or b;c;d"])
def test_a_comma_in_a_name_is_no_separator_where_semicolons_are(tmp_path, header):
    (row,) = read(written(tmp_path, "a.csv", f"{header}\n{header}\n".encode()))
    assert list(row.values.values()) == list(row.values) == header.replace('"', "").split(";")


def test_a_header_cell_without_a_name_gets_one(tmp_path):
    (row,) = read(written(tmp_path, "frame.csv", b",question,\n0,Why?,x\n"))
    assert row.values == {"column 1": "0", "question": "Why?", "column 3": "x"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_paragraphs_of_plain_text_are_rows(tmp_path, end):
    content = end.join(["\ufeffOne", "and more.", "", "  ", "Zwei: ü 日本\u2028.", "", "Three."])
    rows = read(written(tmp_path, "a.txt", content.encode()))
    assert [row.values["text"] for row in rows] == ["One\nand more.", "Zwei: ü 日本\u2028.", "Three."]
    assert [row.where for row in rows] == ["a.txt, line 1", "a.txt, line 5", "a.txt, line 7"]
    assert sources.open_source(Source(source=str(tmp_path / "a.txt"))).total == 3


@pytest.mark.parametrize(
    ("name", "content", "where", "said"),
    [
        ("a.csv", b"q,a\nx,y,z\n", "a.csv, line 2", "has 3 cells, and the header has 2; put quotation marks"),
        ("a.csv", b'q,a\n"x\ny",1\n\nz\n', "a.csv, line 5", "has 1 cells, and the header has 2; write all"),
        ("a.jsonl", b'{"q": 1}\n{oops\n', "a.jsonl, line 2", "this is not JSON"),
        ("a.jsonl", b"\xff\xfe{\x00\n", "a.jsonl, line 1", "this is not UTF-8"),
        ("a.json", b'[{"q": 1}, [], null]', "a.json, row 2 (line 1)", "this is JSON but not an object"),
    ],
)
def test_one_bad_row_does_not_end_the_reading(tmp_path, name, content, where, said):
    rows = read(written(tmp_path, name, content))
    bad = next(row for row in rows if row.problem)
    assert bad.where == where and bad.problem.startswith(said) and bad.values == {}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        *[(f"a{suffix}", b"", "") for suffix in READERS],
        *[(f"a{suffix}", b"\n \n", "") for suffix in (".jsonl", ".json", ".txt")],
        ("a.csv", b"question,answer\n", "a.csv is empty: it has no rows. Write a header line"),
        ("a.tsv", b"question\tanswer", "is empty: it has no rows"),
        ("a.json", b"[]", "is empty: it has no rows"),
        ("a.csv", "q,a\nx,ü\n".encode("latin-1"), "a.csv, line 2: this is not UTF-8 text. Save the file as UTF-8."),
        ("a.csv", "q,a\nx,y\n".encode("utf-16"), "a.csv, line 1: there is a NUL byte"),
        ("a.csv", b"q,a\nx,y\nx,\x00\n", "a.csv, line 3: there is a NUL byte"),
        ("a.csv", b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n1\n", "there are 1,000,000 columns, and 1,000"),
        ("a.csv", b"q,a,q\n1,2,3\n", "a.csv, line 1: the column `q` is there twice"),
        ("a.csv", b"q,a\nx," + b"y" * 10_000_000 + b"\n", "a.csv, line 2: a cell is longer than 5,000,000 characters"),
        ("a.csv", b'q,a\nx,y\nx,"y\n' + b"z,w\n" * 2_000_000, "a.csv, line 3: a cell is longer than"),
        ("a.csv", b'q,a\nx,y\nx,"y\nz,w\n', "a.csv, line 3: the quotation marks cannot be read"),
        ("a.csv", b'q,a\n"x"y,z\n', "a.csv, line 2: the quotation marks cannot be read"),
        ("a.tsv", b'q\ta\n"x"y\tz\n', "('\\t' expected after"),
        ("a.csv", b"q\x00".replace(b"\x00", b"\x1b") + b",q\x1b\n1,2\n", "the column `q\\x1b` is there twice"),
        ("a.csv", b"q,a\rx,y\r", "a.csv, line 1: there are line ends of an old kind"),
        ("a.json", b'{"a": 1', "a.json, line 1: this is not JSON"),
        ("a.json", b'[{"a": 1},\n\n{"a": }]', "a.json, line 3: this is not JSON"),
        ("a.json", b'{"a": 1}\n{"a": 2}\n', "name it .jsonl"),
        ("a.json", b'[{"a":\n"\xff"}]', "a.json, line 2: this is not UTF-8"),
        ("a.json", b"[" * 200_000, "nested too deeply"),
        ("a.json", b"[" + b"9" * 10_000 + b"]", "out of range"),
        ("a.json", b'{"question": "x", "tags": ["y"]}', "is JSON but no list of objects"),
        ("a.json", b'"text"', "is JSON but no list of objects"),
        ("a.json", b'{"train": [{}], "test": [{}]}', "more than one list of objects (`train`, `test`)"),
        ("a.txt", "One.\n\nTwö.\n".encode("latin-1"), "a.txt, line 3: this is not UTF-8 text. Save the file as UTF-8."),
        ("a.txt", b"One.\nTwo.\nThree.\x00\n", "a.txt, line 3: there is a NUL byte"),
        ("a.txt", "One.".encode("utf-16"), "a.txt, line 1: this is not UTF-8 text"),
        ("a.parquet", b"PAR1 and then nothing PAR1", "a.parquet cannot be read as Parquet"),
        ("a.xlsx", b"PK\x03\x04", "Save it as .jsonl, .json, .csv, .tsv, .parquet or .txt."),
        ("a", b"{}", "is not a kind of file that can be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, name, content, said):
    path = written(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert said in str(caught.value) and name in str(caught.value) and len(str(caught.value)) < 500


def test_a_parquet_file_cut_short_or_of_too_many_columns_is_refused(tmp_path):
    whole = in_parquet(FAQ * 50, tmp_path)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read(written(tmp_path, "half.parquet", whole[: len(whole) // 2]))
    with pytest.raises(DataError, match="1,001 columns"):
        read(written(tmp_path, "wide.parquet", in_parquet([{f"c{n}": n for n in range(1_001)}], tmp_path)))


def test_a_parquet_file_of_no_rows_is_empty(tmp_path):
    empty = pa.table({"question": pa.array([], pa.string())})
    pyarrow.parquet.write_table(empty, tmp_path / "none.parquet")
    with pytest.raises(DataError, match="is empty: it has no rows"):
        read(tmp_path / "none.parquet")


def test_nested_nulls_of_parquet_are_rows_like_any_other(tmp_path):
    rows = [{"messages": [{"role": "user", "content": None}, None]}, {"messages": None}]
    assert [row.values for row in read(written(tmp_path, "n.parquet", in_parquet(rows, tmp_path)))] == rows


def test_a_value_that_cannot_be_read_spoils_its_row_of_parquet_alone(tmp_path):
    table = pa.table({"question": ["a", "b", "c"], "day": pa.array([0, 10**7, 1], pa.date32())})
    pyarrow.parquet.write_table(table, tmp_path / "dates.parquet")
    good, bad, other = read(tmp_path / "dates.parquet")
    assert good.problem is None and other.values["question"] == "c"
    assert bad.where == "dates.parquet, row 2" and bad.values == {}
    assert bad.problem == (
        "holds a value that cannot be read (date value out of range); correct it, or leave its column out"
    )


def test_a_row_group_without_rows_is_passed_over(tmp_path):
    schema = pa.schema([("question", pa.string())])
    with pyarrow.parquet.ParquetWriter(tmp_path / "gap.parquet", schema) as writer:
        for rows in (["a"], [], ["b"]):
            writer.write_table(pa.table({"question": pa.array(rows, pa.string())}))
    assert [row.number for row in read(tmp_path / "gap.parquet")] == [1, 2]


def repeated(word: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array([word]))


READ_WITHIN = """
import resource, sys
from pathlib import Path
from core.data.readers import parquet
from core.errors import DataError
import pyarrow.parquet
pyarrow.set_cpu_count(1)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)
try:
    print(sum(len(row.values) == 2 and not row.problem for row in parquet.rows(Path(sys.argv[1]))))
except DataError as error:
    print(error)
"""


def read_within(path: Path, memory: int) -> str:
    """How many rows of two columns are read by a process that may take so much more memory; or why it may not."""
    command = [sys.executable, "-c", READ_WITHIN, str(path), str(memory)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.process
def test_a_small_parquet_file_of_many_gigabytes_is_read_within_little_memory(tmp_path):
    word, numbers = repeated("x" * 1_000_000, 6_000), pa.array(range(6_000))
    pyarrow.parquet.write_table(pa.table({"question": word, "number": numbers}), tmp_path / "flat.parquet")
    lists = pa.ListArray.from_arrays(pa.array(range(0, 6_002, 2), pa.int32()), word)
    pyarrow.parquet.write_table(pa.table({"messages": lists, "number": numbers[:3_000]}), tmp_path / "lists.parquet")
    assert (tmp_path / "flat.parquet").stat().st_size < 200_000
    assert read_within(tmp_path / "flat.parquet", 700_000_000) == "6000\n"
    assert read_within(tmp_path / "lists.parquet", 700_000_000) == "3000\n"


@pytest.mark.process
def test_a_parquet_file_that_only_a_bomb_would_be_is_refused_before_it_is_unpacked(tmp_path):
    table = pa.table({"question": ["x" * 1_000_000] * 300, "answer": ["y"] * 300})
    pyarrow.parquet.write_table(
        table, tmp_path / "bomb.parquet", use_dictionary=False, write_statistics=False, compression="zstd"
    )
    said = read_within(tmp_path / "bomb.parquet", 100_000_000)
    assert said.startswith("bomb.parquet unpacks from 0.0 MB to 300 MB at once") and said.endswith("row groups.\n")


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_a_column_name_that_no_report_can_hold_spoils_its_row_alone(tmp_path, suffix):
    rows = [json.dumps({"q": 1}), json.dumps({"\ud800": 1})]
    text = "\n".join(rows) if suffix == ".jsonl" else f"[{','.join(rows)}]"
    good, bad = read(written(tmp_path, f"half{suffix}", text.encode()))
    assert good.values == {"q": 1} and bad.values == {} and bad.problem.startswith("a column's name holds half a char")


def test_files_are_read_as_they_are_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 10)
    path = written(tmp_path, "late.csv", b"q,a\n" + b"x,y\n" * 100 + b"\xff,y\n")
    first = islice(sources.open_source(Source(source=str(path))).rows, 100)
    assert len(list(first)) == 100  # the bad byte behind them was not reached
    path = written(tmp_path, "late.parquet", in_parquet(FAQ * 20, tmp_path))
    assert len(read(path)) == 40
    assert len(read(path, limit=15)) == 15


def test_a_limit_is_a_limit_for_every_kind(tmp_path):
    opened = sources.open_source(Source(source=str(written(tmp_path, "a.jsonl", b'{"a": 1}\n' * 9)), limit=4))
    assert (opened.total, len(list(opened.rows))) == (4, 4)
    assert len(read(written(tmp_path, "a.csv", delimited(",")), limit=1)) == 1


def test_what_is_too_large_to_hold_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(json_list, "LARGEST_BYTES", 1_000_000)
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 1_000_000)
    with pytest.raises(DataError, match=r"larger than 1 MB.*name it \.jsonl"):
        read(written(tmp_path, "a.json", b" " * 1_000_001))
    with pytest.raises(DataError, match=r"a\.txt, line 2: the paragraph is longer than 1 MB\. Write paragraphs"):
        read(written(tmp_path, "a.txt", b"\n" + b"word\n" * 300_000))
    for name in ("a.jsonl", "a.csv", "a.txt"):
        with pytest.raises(DataError, match=f"{name}, line 2: the line is longer than 1 MB"):
            read(written(tmp_path, name, b"{}\n" + b"x" * 1_000_001))


@pytest.mark.parametrize("suffix", READERS)
def test_every_kind_of_file_can_be_started_with(tmp_path, suffix):
    path = written(tmp_path, f"a{suffix}", b"x")
    check(parse({"data": {"sources": [{"source": str(path)}]}}), "prepare")


def test_another_kind_of_file_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(DataError, match=r"a\.xlsx is not a kind of file that can be read\. Save it as \.jsonl, "):
        check(parse({"data": {"sources": [{"source": str(written(tmp_path, "a.xlsx", b"x"))}]}}), "prepare")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        *[(f"x{suffix}", suffix) for suffix in READERS],
        ("FAQ.CSV", ".csv"),
        ("x.csv/../../y", ".jsonl"),
        ("x.exe", ".jsonl"),
        ("x.csv\x00.sh", ".jsonl"),
        ("", ".jsonl"),
    ],
)
def test_an_upload_keeps_only_an_ending_that_is_known(name, suffix):
    assert safe_suffix(name) == suffix


BROKEN = st.binary(max_size=200) | st.text(st.sampled_from('{}[]",;:\t\r\n\\q01é\x00\ud7ff'), max_size=120).map(
    lambda text: text.encode()
)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict[str, bytes]:
    """A whole file of each kind."""
    folder = tmp_path_factory.mktemp("good")
    lined = b"\n".join(json.dumps(row).encode() for row in FAQ)
    plain = b"\n\n".join(row["answer"].encode() for row in FAQ)
    kinds = {
        ".txt": plain,
        ".jsonl": lined,
        ".json": json.dumps(FAQ).encode(),
        ".csv": delimited(","),
        ".tsv": delimited("\t"),
    }
    return kinds | {".parquet": in_parquet(FAQ, folder)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(suffix=st.sampled_from(list(READERS)), junk=BROKEN, at=st.floats(0, 1), keep=st.booleans())
def test_any_bytes_are_rows_or_a_sentence(tmp_path, good, suffix, junk, at, keep):
    whole = good[suffix]
    cut = int(at * len(whole))
    content = whole[:cut] + junk + (whole[cut + len(junk) :] if keep else b"")
    try:
        rows = read(written(tmp_path, f"fuzz{suffix}", content))
    except DataError as error:
        assert "fuzz" in str(error) and "\n" not in str(error).strip()
    else:
        assert rows and not any(row.values for row in rows if row.problem)
        assert len({row.where for row in rows}) == len(rows)
