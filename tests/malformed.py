"""Data files as they go wrong: each number is one malformed file, always the same, of any kind that can be read.

A file begins as a few good rows of one layout. Then the rows, the writing of them, or the bytes are spoiled.
"""

import csv
import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from core.data.readers.table import READERS

KINDS = tuple(READERS)
TEN_MB = 10_000_000
Rows = list[dict[str, Any]]
Dice = random.Random

TEXTS = ["Why is the sky blue?", "So.\nTruly.", 'A "b", c;\td', "ü 日本\u2028 👩‍👩‍👧", "4", "a" * 300]


@dataclass(frozen=True)
class Malformed:
    """One file: its name, and what is in it."""

    name: str
    content: bytes


def malformed(seed: int) -> Malformed:
    """The malformed file of this number."""
    dice = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    rows = spoiled_rows(dice, good_rows(dice))
    content = WRITERS.get(kind, in_text)(dice, rows)
    spoilers = STRUCTURED if kind == ".parquet" else TEXTUAL
    for _ in range(dice.choice([0, 0, 0, 1, 1, 2])):
        content = dice.choice(spoilers)(dice, content)
    return Malformed(f"case-{seed}{kind}", content)


# Good rows


def good_rows(dice: Dice) -> Rows:
    row = dice.choice([_messages, _turns, _alpaca, _completion, _answer])
    return [row(dice) for _ in range(dice.choice([1, 3, 12, 40]))]


def _messages(dice: Dice) -> dict[str, Any]:
    roles = ["user", "assistant"] * dice.randint(1, 2)
    return {"messages": [{"role": role, "content": dice.choice(TEXTS)} for role in roles]}


def _turns(dice: Dice) -> dict[str, Any]:
    return {"conversations": [{"from": speaker, "value": dice.choice(TEXTS)} for speaker in ("human", "gpt")]}


def _alpaca(dice: Dice) -> dict[str, Any]:
    return {"instruction": dice.choice(TEXTS), "input": dice.choice(["", *TEXTS]), "output": dice.choice(TEXTS)}


def _completion(dice: Dice) -> dict[str, Any]:
    return {"prompt": dice.choice(TEXTS), "completion": dice.choice(TEXTS)}


def _answer(dice: Dice) -> dict[str, Any]:
    return {"question": dice.choice(TEXTS), "context": dice.choice(["", *TEXTS]), "answer": dice.choice(TEXTS)}


# Rows that are spoiled before they are written


def nested(depth: int, inside: Any = None) -> Any:
    for level in range(depth):
        inside = [inside] if level % 2 else {"content": inside}
    return inside


def odd_value(dice: Dice) -> Any:
    """A value where text is expected."""
    return dice.choice(
        [
            None,
            True,
            0,
            -1.5,
            float("nan"),
            float("-inf"),
            10 ** dice.choice([20, 400, 4_299]),
            1e308,
            "",
            " \n\t ",
            "\u200b\u200d\ufeff",
            "\x00\x07\x1b[31m\x7f",
            "\u202ereversed\u202c",
            "\ud800 half",
            "\udfff",
            "<script>alert(1)</script><img src=x onerror=alert(1)>",
            "{question} {0} {{}} %s",
            "=1+1+cmd|' /C calc'!A0",
            "a" * dice.choice([1_000, 70_000]),
            [],
            {},
            [None],
            [[None, [None]]],
            {"role": None},
            {"contexts": {"contexts": [1]}},
            {"contexts": ["x", None]},
            [{"role": "user", "content": None}, None, 3],
            [{"role": ["user"], "content": {}}],
            [{"role": {"a": 1}, "content": "x"}],
            [{"role": "\ud800", "content": "x"}],
            [{"from": ["gpt"], "value": 3}],
            [{"role": "assistant", "content": "x"}] * 2,
            [{"role": "tool", "content": "x"}, {"role": "assistant", "content": "y", "tool_calls": [3]}],
            [{"role": nested(dice.choice([20, 150])), "content": "x"}],
            nested(dice.choice([5, 90, 400])),
        ]
    )


def spoiled_rows(dice: Dice, rows: Rows) -> Rows:
    return dice.choice([lambda _, same: same, *ROW_SPOILERS])(dice, rows)


def _odd_cells(dice: Dice, rows: Rows) -> Rows:
    """One cell of some rows is not what it should be."""
    for row in dice.sample(rows, dice.randint(1, len(rows))):
        row[dice.choice(list(row))] = odd_value(dice)
    return rows


def _odd_inside(dice: Dice, rows: Rows) -> Rows:
    """Something within a cell's list is not what it should be."""
    for row in rows:
        cell = next(iter(row.values()))
        if isinstance(cell, list) and dice.random() < 0.5:
            cell[0][dice.choice(list(cell[0]))] = odd_value(dice)
    return rows


def _missing(dice: Dice, rows: Rows) -> Rows:
    for row in dice.sample(rows, dice.randint(1, len(rows))):
        del row[dice.choice(list(row))]
    return rows


def _renamed(dice: Dice, rows: Rows) -> Rows:
    """A column has another name, which may be a strange one."""
    old = dice.choice(list(rows[0]))
    names = ["", " ", "\ud800", "\x00", "\u200b", "<b>x</b>", "`a`", "{a}", "a" * 5_000, "a\nb", old.upper(), "None"]
    new = dice.choice(names)
    return [{new if name == old else name: value for name, value in row.items()} for row in rows]


def _mixed(dice: Dice, rows: Rows) -> Rows:
    """Rows of several layouts in one file."""
    mixed = rows + good_rows(dice) + good_rows(dice)
    dice.shuffle(mixed)
    return mixed


def _wide(dice: Dice, rows: Rows) -> Rows:
    more = {f"column {number}": number for number in range(dice.choice([30, 1_001, 3_000]))}
    return [row | more for row in rows[:2]]


def _long(dice: Dice, rows: Rows) -> Rows:
    """A cell of ten million characters, or of thousands of turns, now and then."""
    if dice.random() < 0.3:
        name, cell = next(iter(rows[-1].items()))
        rows[-1][name] = cell * dice.choice([1_001, 30_000]) if isinstance(cell, list) else "x" * TEN_MB
    return rows


ROW_SPOILERS = [_odd_cells, _odd_cells, _odd_cells, _odd_inside, _missing, _renamed, _mixed, _wide, _long]


# The rows as a file


def in_jsonl(dice: Dice, rows: Rows) -> bytes:
    plain = dice.random() < 0.5
    lines = [json.dumps(row, ensure_ascii=plain).encode("utf-8", "surrogatepass") for row in rows]
    others = [
        b"",
        b"[]",
        b"null",
        b"3",
        b"{oops",
        b'{"a": 1} {"b": 2}',
        b'{"a": 1, "a": 2}',
        b"[" * 5_000,
        b"{}",
        b"NaN",
    ]
    for _ in range(dice.choice([0, 0, 1, 3])):
        lines.insert(dice.randint(0, len(lines)), dice.choice(others))
    return dice.choice([b"\n", b"\n", b"\r\n", b"\n\n", b"\r"]).join(lines) + dice.choice([b"", b"\n"])


def in_json(dice: Dice, rows: Rows) -> bytes:
    whole = (
        dice.choice(
            [
                rows,
                rows,
                {"data": rows},
                {"train": rows, "test": rows},
                {"data": {"rows": rows}},
                [rows],
                [*rows, None, 3, "x"],
                {str(number): row for number, row in enumerate(rows)},
                {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]},
                [None] * 100,
                "text",
                nested(dice.choice([50, 2_000, 100_000] if dice.random() < 0.2 else [50]), None),
            ]
        )
        if dice.random() < 0.5
        else rows
    )
    try:
        text = json.dumps(whole, ensure_ascii=dice.random() < 0.5, indent=dice.choice([None, 1]))
    except (RecursionError, ValueError):
        text = '{"a":' * 100_000 + "1" + "}" * 100_000
    return text.encode("utf-8", "surrogatepass")


def in_table(separator: str) -> Callable[[Dice, Rows], bytes]:
    def table(dice: Dice, rows: Rows) -> bytes:
        names = list(rows[0])
        text = io.StringIO(newline="")
        writer = csv.writer(
            text, delimiter=separator, lineterminator=dice.choice(["\n", "\n", "\n", "\r\n", "\r\n", "\r"])
        )
        header = names + dice.choice([[], [], [], [], names[:1], [""], ["a,b;c\td"]])
        writer.writerows([header] * dice.choice([1, 1, 1, 0, 2]))
        writer.writerows([_cell(row.get(name)) for name in header if dice.random() > 0.01] for row in rows)
        return text.getvalue().encode("utf-8", "surrogatepass")

    return table


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else "1" if isinstance(value, int) else value


def in_text(dice: Dice, rows: Rows) -> bytes:
    """For a kind of file that holds plain text."""
    paragraphs = [str(value) for row in rows for value in row.values() if isinstance(value, str)]
    ends = dice.choice(["\n", "\n\n", "\r\n\r\n", "\r", "\f", "\u2028"])
    return ends.join([*paragraphs, "The end."]).encode("utf-8", "surrogatepass")


def in_parquet(dice: Dice, rows: Rows) -> bytes:
    """The rows as a Parquet file, or columns of types that no text fits in where they are of mixed ones."""
    table = odd_table(dice) if dice.random() < 0.5 else _as_table(rows) or odd_table(dice)
    options = _options(dice)
    try:
        return written(table, options)
    except pa.ArrowException:  # not every type can be written
        return written(_as_table(good_rows(dice)), options)


def written(table: pa.Table, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, **options)
    return file.getvalue()


def _options(dice: Dice) -> dict[str, Any]:
    return {
        "compression": dice.choice(["none", "snappy", "gzip", "zstd", "lz4", "brotli"]),
        "use_dictionary": dice.random() < 0.5,
        "row_group_size": dice.choice([1, 7, 1_000]),
        "data_page_version": dice.choice(["1.0", "2.0"]),
        "write_page_checksum": dice.random() < 0.2,
        "store_schema": dice.random() < 0.7,
    }


def _as_table(rows: Rows) -> pa.Table | None:
    try:
        table = pa.Table.from_pylist(rows)
        return table if table.num_columns else None
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError):
        return None


ODD_ARRAYS: list[Callable[[], pa.Array]] = [
    lambda: pa.array([None, None, None]),
    lambda: pa.array([b"\xff\xfe", b"", None]),
    lambda: pa.array([b"\xff", b"ok", None]).cast(pa.binary()),
    lambda: pa.Array.from_buffers(pa.string(), 3, pa.array([b"\xff\xfe", b"ok", b"\xc3"]).buffers()),
    lambda: pa.array(["a", "b", "a"]).dictionary_encode(),
    lambda: pa.array([Decimal("1.5"), None, Decimal("-9999999999.99")]),
    lambda: pa.array([datetime(2020, 1, 1, tzinfo=UTC), None, datetime(1, 1, 1, tzinfo=UTC)]),
    lambda: pa.array([2**62, 0, -(2**62)], pa.timestamp("us")),
    lambda: pa.array([1, 2, 3], pa.timestamp("ns")),
    lambda: pa.array([1, 2, 3], pa.timestamp("s", "Mars/Olympus")),
    lambda: pa.array([2**31 - 1, -(2**31), 0], pa.date32()),
    lambda: pa.array([2**60, 1, 0], pa.date64()),
    lambda: pa.array([2**40, 1, 0], pa.time64("us")),
    lambda: pa.array([2**62, 1, 0], pa.duration("s")),
    lambda: pa.array([2**62, 1, 0], pa.duration("ns")),
    lambda: pa.array([2**64 - 1, 0, None], pa.uint64()),
    lambda: pa.array([float("nan"), float("inf"), None]),
    lambda: pa.array([[("k", 1)], None, [("k", 2), ("k", 3)]], pa.map_(pa.string(), pa.int64())),
    lambda: pa.array([[[None]], [], None], pa.list_(pa.list_(pa.string()))),
    lambda: pa.array([[["x"]], [], None], pa.large_list(pa.list_(pa.large_string()))),
    lambda: pa.array([{"a": {"b": None}}, None, {"a": None}]),
    lambda: pa.StructArray.from_arrays([pa.array([1, 2, 3]), pa.array([4, 5, 6])], ["x", "x"]),
    lambda: pa.array([nested(60, "x")] * 3),
    lambda: pa.array(["x", "y", None], pa.string_view()),
    lambda: pa.array([b"0123456789abcdef"] * 3, pa.binary(16)),
]
ODD_NAMES = ["question", "answer", "messages", "conversations", "prompt", "completion", "", "a\nb", "<b>", "question"]


def odd_table(dice: Dice) -> pa.Table:
    """A table of three rows with columns of odd types under the names that are looked for, or twice the same name."""
    arrays = [dice.choice(ODD_ARRAYS)() for _ in range(dice.choice([1, 2, 2, 3, 6]))]
    start = dice.randint(0, 6)
    return pa.table(arrays, names=(ODD_NAMES[start:] + ODD_NAMES)[: len(arrays)])


WRITERS: dict[str, Callable[[Dice, Rows], bytes]] = {
    ".jsonl": in_jsonl,
    ".json": in_json,
    ".csv": in_table(","),
    ".tsv": in_table("\t"),
    ".parquet": in_parquet,
}


# Bytes that are spoiled after the writing


def _cut(dice: Dice, whole: bytes) -> bytes:
    return whole[: dice.randint(0, len(whole))]


def _junk(dice: Dice, whole: bytes) -> bytes:
    """Random bytes in the middle, or nothing else."""
    at = dice.randint(0, len(whole))
    junk = dice.randbytes(dice.choice([1, 4, 400]))
    return dice.choice([whole[:at] + junk + whole[at:], whole[:at] + junk + whole[at + len(junk) :], junk])


def _flipped(dice: Dice, whole: bytes) -> bytes:
    spoiled = bytearray(whole or b"x")
    for _ in range(dice.choice([1, 3, 20])):
        spoiled[dice.randrange(len(spoiled))] ^= 1 << dice.randrange(8)
    return bytes(spoiled)


def _another_encoding(dice: Dice, whole: bytes) -> bytes:
    text = whole.decode("utf-8", "replace")
    encoding = dice.choice(["utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252", "shift_jis", "utf-7", "cp037"])
    return text.encode(encoding, "replace")


def _mark(dice: Dice, whole: bytes) -> bytes:
    """A byte order mark: in front, twice, or of another encoding."""
    return dice.choice([b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff"]) + whole


def _inserted(dice: Dice, whole: bytes) -> bytes:
    """What a text file should not hold, at some place."""
    at = dice.randint(0, len(whole))
    bad = [
        b"\x00",
        b"\x00" * 500,
        b"\x1a",
        b"\r",
        b'"',
        b'\\"',
        b"\\ud800",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xf4\x90\x80\x80",
    ]
    return whole[:at] + dice.choice(bad) + whole[at:]


def _numbers(dice: Dice, whole: bytes) -> bytes:
    huge = [b"1e999", b"-Infinity", b"NaN", b"9" * 5_000, b"0x1F", b"-", b"1_000", b"00", b"1e-99999999"]
    return whole.replace(b'"4"', dice.choice(huge)).replace(b"null", dice.choice(huge))


def _line_ends(dice: Dice, whole: bytes) -> bytes:
    return whole.replace(b"\r\n", b"\n").replace(b"\n", dice.choice([b"\r", b"\r\r\n", b"\v", b"\xc2\x85", b" "]))


def _quotes(dice: Dice, whole: bytes) -> bytes:
    return whole.replace(b'"', dice.choice([b"", b"'", b'""', b"\xe2\x80\x9c"]), dice.choice([-1, 1, 3]))


def _nothing(dice: Dice, whole: bytes) -> bytes:
    """Empty, or as good as."""
    empty = [
        b"",
        b" ",
        b"\n",
        b"\r\n" * 50,
        b"\t" * 1_000,
        b"\xef\xbb\xbf",
        b"\x00" * 2_000,
        b"question,answer\n",
        b",\n",
    ]
    return dice.choice([*empty, whole.split(b"\n")[0]])


def _packed(dice: Dice, whole: bytes) -> bytes:
    """Compressed, yet named as if it were not."""
    if dice.random() < 0.5:
        return gzip.compress(whole, mtime=0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("data.csv"), whole)
    return file.getvalue()


def _another_kind(dice: Dice, whole: bytes) -> bytes:
    """The content of something else under this name."""
    return dice.choice(
        [
            b"<!DOCTYPE html><html><body>404: Not Found</body></html>",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            b"%PDF-1.7\n1 0 obj\n",
            b"\x89PNG\r\n\x1a\n" + bytes(100),
            b"ARROW1\x00\x00" + bytes(100),
            b"- question: yaml\n  answer: yes\n",
            in_parquet(dice, good_rows(dice)),
            in_jsonl(dice, good_rows(dice)),
            in_table(",")(dice, good_rows(dice)),
        ]
    )


def _repeated(dice: Dice, whole: bytes) -> bytes:
    """The file behind itself, so its header comes twice."""
    return whole * dice.choice([2, 50]) if len(whole) < 50_000 else whole + whole


def _very_wide(dice: Dice, whole: bytes) -> bytes:
    separator = dice.choice([b",", b";", b"\t"])
    return separator.join(b"c%d" % number for number in range(dice.choice([1_001, 60_000]))) + b"\n" + whole


def _very_long(dice: Dice, whole: bytes) -> bytes:
    """A line of ten megabytes: a text, open quotation marks, brackets, or cells, now and then."""
    if dice.random() < 0.8:
        return _cut(dice, whole)
    long = dice.choice([b'"' + b"x" * TEN_MB, b"x" * TEN_MB, b"[" * TEN_MB, b"," * TEN_MB, b'"\n' * 50_000])
    return dice.choice([long + whole, whole + b"\n" + long])


TEXTUAL = [
    _cut,
    _cut,
    _junk,
    _junk,
    _flipped,
    _another_encoding,
    _another_encoding,
    _mark,
    _inserted,
    _inserted,
    _numbers,
    _line_ends,
    _quotes,
    _nothing,
    _packed,
    _another_kind,
    _repeated,
    _very_wide,
    _very_long,
]


def _spoiled_end(dice: Dice, whole: bytes) -> bytes:
    """A Parquet file's end is its index: its length, its bytes, or its last four letters are wrong."""
    lengths = [0, 1, 7, len(whole), 2**31 - 1, 2**32 - 1]
    return dice.choice(
        [
            whole[:-8] + dice.choice(lengths).to_bytes(4, "little") + whole[-4:],
            whole[:-4] + dice.choice([b"PARE", b"par1", b"\0\0\0\0"]),
            b"PARE" + whole[4:-4] + b"PARE",
            b"PAR1",
            b"PAR1PAR1",
            whole[:4] + whole[-8:],
            whole + b"\n",
        ]
    )


def _flipped_end(dice: Dice, whole: bytes) -> bytes:
    """Bits of the index itself."""
    length = int.from_bytes(whole[-8:-4], "little") if len(whole) > 12 else 0
    start = max(0, len(whole) - 8 - length)
    return whole[:start] + _flipped(dice, whole[start:-8]) + whole[-8:]


STRUCTURED = [
    _cut,
    _junk,
    _flipped,
    _flipped,
    _spoiled_end,
    _spoiled_end,
    _flipped_end,
    _flipped_end,
    _nothing,
    _packed,
    _another_kind,
]
