"""What preparing data costs: its time against bare `tokenizer(texts)` on the same rows, its memory, and a second call.

The rows are like FineTome's: conversations of one to three exchanges, about 330 tokens, no two the same, put together from
`../shared/data`. The bare tokenizer gets the rows as text, rendered beforehand. Preparing reads the file, checks every row,
renders and tokenises it, marks what is learned, drops duplicates, holds rows out, looks for leaks among a MinHash of every
row, and writes it all. Each runs in a process of its own, in turn; the models of the comparison are loaded before the clock
starts. `python -m benchmarks.prepare [ROWS] [ROWS_FOR_MEMORY] [ROUNDS]`
"""

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
LENGTHS = [1, 1, 1, 2, 3]


def exchanges() -> list[tuple[str, str]]:
    """Questions and answers to build conversations of."""
    maths = [json.loads(line) for line in (SHARED / "gsm8k_train.jsonl").open(encoding="utf-8")]
    tasks = [json.loads(line) for line in (SHARED / "alpaca_layout.jsonl").open(encoding="utf-8")]
    found = [(row["question"], row["answer"]) for row in maths]
    return found + [(f"{row['instruction']}\n{row['input']}", row["output"]) for row in tasks if row["output"].strip()]


def conversations(rows: int) -> Iterator[list[dict[str, str]]]:
    """As many conversations, always the same; a number in each keeps them apart."""
    lot, known = random.Random(7), exchanges()
    for number in range(rows):
        turns = lot.choices(known, k=lot.choice(LENGTHS))
        chat = [[{"from": "human", "value": ask}, {"from": "gpt", "value": answer}] for ask, answer in turns]
        chat[0][0]["value"] = f"{number}. {chat[0][0]['value']}"
        yield [turn for pair in chat for turn in pair]


def write_rows(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for conversation in conversations(rows):
            file.write(json.dumps({"conversations": conversation}) + "\n")


def bare(path: Path) -> dict[str, float]:
    """Nothing but the tokenizer."""
    from core.models.load import fetch, load_tokenizer

    tokenizer = load_tokenizer(fetch("starter"))
    roles = {"human": "user", "gpt": "assistant"}
    texts = []
    for line in path.open(encoding="utf-8"):
        turns = json.loads(line)["conversations"]
        messages = [{"role": roles[turn["from"]], "content": turn["value"]} for turn in turns]
        texts.append(tokenizer.apply_chat_template(messages, tokenize=False))
    begin = time.perf_counter()
    found = tokenizer(texts, add_special_tokens=False)
    return {"seconds": time.perf_counter() - begin, "tokens": sum(len(ids) for ids in found["input_ids"])}


def prepared(path: Path) -> dict[str, float]:
    """The whole preparation, as a job does it."""
    from core import home
    from core.data.prepare import find_model, prepare
    from core.files import write_whole
    from core.jobs.folder import Job
    from core.jobs.worker import Worker
    from core.recipe import parse
    from core.recipe_yaml import to_yaml

    recipe = parse({"data": {"sources": [{"source": str(path)}], "eval_fraction": 0.01, "max_length": 2048}})
    job = Job(home.job_folder(f"20260101-000000-{os.getpid()}"))
    write_whole(job.files.recipe, to_yaml(recipe))
    worker = Worker(job)
    found = find_model(worker)
    gc.freeze()  # as the worker does before its job
    begin = time.perf_counter()
    report, _ = prepare(worker, found)
    took = time.perf_counter() - begin
    return {"seconds": took, "tokens": report["tokens"], "rows": report["distinct_rows"] + report["held_out_rows"]}


def in_a_process(what: str, path: Path) -> dict[str, float]:
    """What one of the two took, in a new process; the memory is that of all its processes, shared pages counted once."""
    asked = [sys.executable, "-m", "benchmarks.prepare", what, str(path)]
    run = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = 0
    while run.poll() is None:
        peak = max(peak, memory_bytes(psutil.Process(run.pid)))
        time.sleep(0.5)
    return json.loads(run.stdout.read().splitlines()[-1]) | {"memory_gb": peak / 1e9}


def memory_bytes(process: psutil.Process) -> int:
    """The proportional set size of a process and its children; 0 once they are gone."""
    try:
        return sum(one.memory_full_info().pss for one in [process, *process.children(recursive=True)])
    except psutil.Error:
        return 0


def forget() -> None:
    """Take away what was prepared, so that the next round does it again."""
    import shutil

    from core import home

    for folder in (home.encoded_folder(), home.prepared_folder()):
        shutil.rmtree(folder, ignore_errors=True)


def compare(path: Path, rounds: int) -> tuple[list[dict], list[dict], dict]:
    """Bare and prepared in turn, then a second call."""
    one, other = [], []
    for _ in range(rounds):
        one.append(in_a_process("bare", path))
        forget()
        other.append(in_a_process("prepared", path))
    return one, other, in_a_process("prepared", path)


def written(runs: list[dict], key: str) -> str:
    values = [run[key] for run in runs]
    return f"{statistics.median(values):8.2f}  {min(values):8.2f}  {max(values):8.2f}"


def main(rows: int, rows_for_memory: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, rows)
        one, other, again = compare(path, rounds)
        forget()
        write_rows(path, rows_for_memory)
        large = in_a_process("prepared", path) if rows_for_memory else {"memory_gb": 0.0, "seconds": 0.0}
        forget()
    ratio = statistics.median(run["seconds"] for run in other) / statistics.median(run["seconds"] for run in one)
    print(f"{rows:,} rows, {one[0]['tokens'] / rows:,.0f} tokens each, {os.cpu_count()} cores, {rounds} rounds in turn")
    print(f"{'':24}{'median':>8}  {'min':>8}  {'max':>8}")
    print(f"{'bare tokenizer, s':24}{written(one, 'seconds')}")
    print(f"{'prepared, s':24}{written(other, 'seconds')}")
    print(
        f"ratio {ratio:.2f}; {rows / statistics.median(run['seconds'] for run in other):,.0f} rows/s; second call {again['seconds']:.2f} s"
    )
    print(f"{rows_for_memory:,} rows: peak {large['memory_gb']:.2f} GB, {large['seconds']:,.0f} s")
    figures = {
        "ratio": round(ratio, 3),
        "second_call_s": round(again["seconds"], 3),
        "memory_gb": round(large["memory_gb"], 3),
    }
    print(json.dumps(figures | {"rows": rows, "rows_for_memory": rows_for_memory}))


if __name__ == "__main__":
    if sys.argv[1:2] in (["bare"], ["prepared"]):
        print(json.dumps({"bare": bare, "prepared": prepared}[sys.argv[1]](Path(sys.argv[2]))))
    else:
        asked = [int(value) for value in sys.argv[1:]]
        main(*(asked + [100_000, 1_000_000, 2][len(asked) :]))
