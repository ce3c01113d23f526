"""How fast a training on pairs is: TRL's DPOTrainer with its defaults, and the studio's worker, on the same pairs.

Both train the starter model with the same LoRA, first weights, order, learning rate, batch and beta on the same pairs of GSM8K
(`../shared/data`): chosen is a question's own answer, rejected that of another. TRL gets them tokenised as the studio has
prepared them. Each way runs in a process of its own, in turn. The worker multiplies in bf16 where the machine can; "exact" is
the same worker in fp32, as TRL's is, for which the losses have to be the same. Tokens are those of both conversations, padding
not counted, labelled or not; the first step warms up and is not timed. `python -m benchmarks.prefer [STEPS] [ROUNDS] [BATCH]`
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.train_speed import (
    SHARED,
    as_trl_is_told,
    difference,
    measured,
    middle,
    own_peak_bytes,
    prepared_as,
    worker,
    written,
)

ROWS = 64


def pairs_file() -> Path:
    """A file of pairs, written once: to each question its own answer, and the next one's."""
    from core import home

    path = home.home() / "pairs.jsonl"
    if not path.exists():
        with (SHARED / "gsm8k_train.jsonl").open(encoding="utf-8") as file:
            rows = [json.loads(next(file)) for _ in range(ROWS)]
        pairs = [
            {"prompt": row["question"], "chosen": row["answer"], "rejected": other["answer"]}
            for row, other in zip(rows, rows[1:] + rows[:1], strict=True)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return path


def recipe(batch: int, steps: int, precision: str = "auto"):
    """No dropout, whose draws would differ; no held-out pairs, no checkpoint on the way: nothing but training."""
    from core.recipe import parse

    return parse(
        {
            "name": f"prefer-{batch}",
            "data": {"sources": [{"source": str(pairs_file())}], "eval_fraction": 0},
            "lora": {"dropout": 0},
            "training": {
                "objective": "dpo",
                "max_steps": steps,
                "batch": batch,
                "accumulation": 1,
                "precision": precision,
            },
            "checkpoints": {"every_steps": None, "every_minutes": None},
        }
    )


def plain(batch: int, steps: int) -> dict[str, Any]:
    """What a person writes after reading TRL's documentation; on a CPU with what it needs to run there at all."""
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
    from trl import DPOConfig, DPOTrainer

    asked, found, rows = prepared_as(recipe(batch, steps))
    training = asked.training
    marks, losses = [], []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **named):
            marks.append(time.perf_counter())

        def on_log(self, args, state, control, logs, **named):
            losses.extend([logs["loss"]] if "loss" in logs else [])

    class Ready(DPOTrainer):
        """Its rows are tokens already."""

        def _prepare_dataset(self, dataset, *args):
            return dataset

    config = DPOConfig(beta=training.beta, **as_trl_is_told(training, steps))
    set_seed(training.seed)
    trainer = Ready(
        model=AutoModelForCausalLM.from_pretrained(found.folder, dtype="float32"),
        args=config,
        train_dataset=rows.map(as_trl_has_it, remove_columns=rows.column_names),
        processing_class=AutoTokenizer.from_pretrained(found.folder),
        peft_config=LoraConfig(
            r=asked.lora.rank, lora_alpha=asked.lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[Clock()],
    )
    tokens = counted(trainer)
    trainer.train()
    return measured(marks, losses, own_peak_bytes()) | {"tokens": tokens[:steps]}


def as_trl_has_it(row: dict[str, Any]) -> dict[str, list[int]]:
    """A pair as prompt and two answers; what follows an answer and is not learned changes nothing, and is left out."""
    from core.data.tokens import IGNORED
    from core.training.pairs import halves

    learned = [[label for label in half["labels"] if label != IGNORED] for half in halves(row)]
    begins = [next(at for at, label in enumerate(half["labels"]) if label != IGNORED) for half in halves(row)]
    prompts = [half["input_ids"][:begin] for half, begin in zip(halves(row), begins, strict=True)]
    assert prompts[0] == prompts[1]
    return {"prompt_ids": prompts[0], "chosen_ids": learned[0], "rejected_ids": learned[1]}


def counted(trainer: Any) -> list[int]:
    """Tokens of each batch that TRL's trainer is given, padding left out; filled while it trains."""
    counts: list[int] = []
    collate = trainer.data_collator

    def count(rows: list[dict[str, Any]]) -> Any:
        both = ("chosen_ids", "rejected_ids")
        counts.append(sum(len(row["prompt_ids"]) + len(row[name]) for row in rows for name in both))
        return collate(rows)

    trainer.data_collator = count
    return counts


def studio(batch: int, steps: int) -> dict[str, Any]:
    return worker(recipe(batch, steps))


def exact(batch: int, steps: int) -> dict[str, Any]:
    return worker(recipe(batch, steps, "fp32"))


WAYS = {"plain": plain, "studio": studio, "exact": exact}


def in_a_process(way: str, batch: int, steps: int) -> dict[str, Any]:
    """What one way took, in a new process."""
    asked = [sys.executable, "-m", "benchmarks.prefer", way, str(batch), str(steps)]
    run = subprocess.run(asked, check=False, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{way} failed:\n{run.stderr[-3000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def compare(batch: int, steps: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """All ways in turn, each as often."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            found[way].append(in_a_process(way, batch, steps))
            print(f"  {way}: {found[way][-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    tokens = sum(found["plain"][0]["tokens"][1:])
    for run in (run for runs in found.values() for run in runs):
        run["tokens_per_s"] = tokens / run["seconds"]
    return found


def show(found: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Print the table; its figures."""
    print(f"{'':24}{'median':>8}  {'min':>8}  {'max':>8}")
    for key, title in (("tokens_per_s", "tokens/s"), ("peak_gb", "peak GB")):
        for way, runs in found.items():
            print(f"{way + ', ' + title:24}{written(runs, key)}")
    for way, runs in found.items():
        print(f"loss, {way:18}" + " ".join(f"{loss:.5f}" for loss in runs[0]["losses"]))
    figures = {
        "ratio": middle(found["studio"], "tokens_per_s") / middle(found["plain"], "tokens_per_s"),
        "memory_share": middle(found["studio"], "peak_gb") / middle(found["plain"], "peak_gb"),
        "largest_loss_difference": difference(found["studio"][0], found["plain"][0]),
        "largest_loss_difference_in_fp32": difference(found["exact"][0], found["plain"][0]),
    }
    print(
        f"studio against TRL: {figures['ratio']:.2f} times, {figures['memory_share']:.0%} of its memory; largest difference of "
        f"a loss {figures['largest_loss_difference']:.1e}, in fp32 {figures['largest_loss_difference_in_fp32']:.1e}"
    )
    return {name: round(value, 7) for name, value in figures.items()}


def main(steps: int, rounds: int, batch: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("STUDIO_HOME", folder)
        prepared_as(recipe(batch, steps))
        print(
            f"{steps} steps of {batch} pairs of GSM8K, dpo, LoRA, starter model, {os.cpu_count()} cores, {rounds} rounds in turn"
        )
        figures = show(compare(batch, steps, rounds))
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in WAYS:
        print(json.dumps(WAYS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))))
    else:
        numbers = [int(word) for word in sys.argv[1:]]
        main(*(numbers + [6, 1, 4][len(numbers) :]))
