"""How fast a training is: a plain TRL script with its defaults, a bare loop, and the studio's worker, on the same rows.

All three train the starter model on the same prepared rows and labels of GSM8K (`../shared/data`) with the same LoRA, the
same first weights, order, learning rate and effective batch, each in a process of its own, in turn. The bare loop has the
studio's own settings and nothing around them. Tokens are those of the rows, padding not counted, labelled or not; the first
step warms up and is not timed. `python -m benchmarks.train_speed [STEPS] [ROUNDS] [BATCHxACCUMULATION …]`

On a GPU the model is Llama-3.2-1B's shape with random weights, and there is no bare loop: that one is written for a CPU.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
ROWS = 400
GOALS = {"8x1": 3.5, "2x4": 2.4}
GPU_MODEL = "meta-llama/Llama-3.2-1B"


def on_gpu() -> bool:
    from core import home
    from core.hardware import machine

    return machine(home.home()).device == "cuda"


def recipe(cut: str, steps: int):
    """No dropout, whose draws would differ; no held-out rows, no checkpoint on the way: nothing but training."""
    from benchmarks.plan import random_model
    from core.recipe import parse

    batch, accumulation = map(int, cut.split("x"))
    return parse(
        {
            "name": f"speed-{cut}",
            "model": {"source": str(random_model(GPU_MODEL)) if on_gpu() else "starter"},
            "data": {
                "sources": [{"source": str(SHARED / "gsm8k_train.jsonl"), "limit": ROWS}],
                "eval_fraction": 0,
            },
            "lora": {"dropout": 0},
            "training": {"max_steps": steps, "batch": batch, "accumulation": accumulation},
            "checkpoints": {"every_steps": None, "every_minutes": None},
        }
    )


def prepared(cut: str, steps: int) -> Any:
    return prepared_as(recipe(cut, steps))


def prepared_as(asked: Any) -> Any:
    """The rows as the worker of a recipe gets them, prepared once; with the recipe and the model that was found."""
    from core import home
    from core.data.prepare import find_model, prepare
    from core.files import write_whole
    from core.jobs.folder import Job
    from core.jobs.worker import Worker
    from core.recipe_yaml import to_yaml
    from core.training.session import rows_of

    job = Job(home.job_folder(f"20260101-000000-{os.getpid()}"))
    write_whole(job.files.recipe, to_yaml(asked))
    found = find_model(Worker(job))
    _, files = prepare(Worker(job), found)
    shutil.rmtree(job.folder)  # a run of the same recipe would be taken for this one, which seems to have just begun
    return asked, found, rows_of(files, asked)[0]


def as_trl_is_told(training: Any, steps: int) -> dict[str, Any]:
    """The settings of a plain script: the recipe's where it has to learn the same, else TRL's own."""
    from core.training.schedules import warmup_steps

    return {
        "output_dir": tempfile.mkdtemp(),
        **({} if on_gpu() else {"use_cpu": True, "bf16": False}),
        "max_steps": steps,
        "per_device_train_batch_size": training.batch,
        "gradient_accumulation_steps": training.accumulation,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": warmup_steps(training, steps),
        "seed": training.seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def plain(cut: str, steps: int) -> dict[str, Any]:
    """What a person writes after reading TRL's documentation; on a CPU with what it needs to run there at all."""
    from peft import LoraConfig
    from transformers import AutoTokenizer, TrainerCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    asked, found, rows = prepared(cut, steps)
    training = asked.training
    marks, losses = [], []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **named):
            marks.append(time.perf_counter())

        def on_log(self, args, state, control, logs, **named):
            losses.extend([logs["loss"]] if "loss" in logs else [])

    config = SFTConfig(**as_trl_is_told(training, steps))
    set_seed(training.seed)
    trainer = SFTTrainer(
        model=str(found.folder),
        args=config,
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(found.folder),
        peft_config=LoraConfig(
            r=asked.lora.rank, lora_alpha=asked.lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[Clock()],
    )
    tokens = counted(trainer)
    trainer.train()
    per_step = [
        sum(tokens[at : at + training.accumulation])
        for at in range(0, steps * training.accumulation, training.accumulation)
    ]
    return measured(marks, losses, own_peak_bytes()) | {"tokens": per_step}


def counted(trainer: Any) -> list[int]:
    """Tokens of each batch that the trainer is given, padding left out; filled while it trains."""
    counts: list[int] = []
    collate = trainer.data_collator

    def count(rows: list[dict[str, Any]]) -> Any:
        counts.append(sum(len(row["input_ids"]) for row in rows))
        return collate(rows)

    trainer.data_collator = count
    return counts


def bare(cut: str, steps: int) -> dict[str, Any]:
    """A loop of forward, backward and step with the studio's settings: what its worker could reach at best."""
    import torch
    from transformers import get_cosine_schedule_with_warmup
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from core.models.give_back import give_back
    from core.models.load import load_base
    from core.training import cpu_loss, documents, gated, short_lora
    from core.training.device import choose_device, set_up
    from core.training.heap import keep_blocks
    from core.training.model import with_adapter
    from core.training.schedules import warmup_steps
    from core.training.speed import choose

    asked, found, rows = prepared(cut, steps)
    device = choose_device(asked.training)
    set_up(device, asked.training)
    model = with_adapter(load_base(found, device.weights_dtype, "cpu"), asked)
    chosen, base = choose(asked, device.place()), model.get_base_model()
    if chosen.side_by_side:
        assert documents.use_in(base, asked.data.max_length) is None
    if chosen.short_adapter:
        short_lora.use_in(base)
    if chosen.keeps_short:
        gated.use_in(base)
    give_back()
    keep_blocks()
    model.train()
    weights = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=asked.training.learning_rate, weight_decay=0, fused=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, warmup_steps(asked.training, steps), steps)
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=chosen.side_by_side)
    marks, losses = [], []
    for batches in in_steps(rows, asked, steps):
        inputs = [collate([rows[number] for number in batch]) for batch in batches]
        items = sum(int((one["labels"][:, 1:] != -100).sum()) for one in inputs)
        loss = 0.0
        for one in inputs:
            part = cpu_loss.loss_at_labels(base, one, items)
            part.backward()
            loss += part.item()
        torch.nn.utils.clip_grad_norm_(weights, asked.training.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        marks.append(time.perf_counter())
        losses.append(loss)
    return measured(marks, losses, own_peak_bytes())


def in_steps(rows: Any, asked: Any, steps: int) -> Iterator[list[list[int]]]:
    """Row numbers of each batch of each step, in the order in which the trainer draws them."""
    import torch

    generator = torch.Generator().manual_seed(asked.training.seed)
    order = torch.randperm(len(rows), generator=generator).tolist()
    size, parts = asked.training.batch, asked.training.accumulation
    for step in range(steps):
        first = step * size * parts
        yield [order[first + part * size :][:size] for part in range(parts)]


def studio(cut: str, steps: int) -> dict[str, Any]:
    return worker(recipe(cut, steps))


def worker(asked: Any) -> dict[str, Any]:
    """The studio's worker, started as the page and the command line start it."""
    from core.jobs import launcher

    began = time.time()
    job = launcher.start(asked)
    peak = 0
    while job.status.live:
        peak = max(peak, held_bytes(job.worker.pid))
        time.sleep(0.1)
    if job.status != "finished":
        sys.exit(f"The training ended as {job.status}: {job.result}\n{job.log_tail()}")
    running = next(event["time"] for event in job.events if event.get("phase") == "running")
    peak = job.resolved["peak_memory_bytes"] if on_gpu() else peak
    found = measured(list(job.metrics["elapsed_s"]), list(job.metrics["loss"]), peak)
    return found | {"to_running_s": running - began}


def measured(marks: list[float], losses: list[float], peak: int) -> dict[str, Any]:
    """Seconds of every step but the first, and the peak memory, given in bytes."""
    return {"seconds": marks[-1] - marks[0], "losses": losses, "peak_gb": peak / 1e9}


def own_peak_bytes() -> int:
    """The most that this process ever held, of its GPU where it has one."""
    if on_gpu():
        from core.recipe import parse
        from core.training.device import choose_device
        from core.training.peak import peak_bytes

        return peak_bytes(choose_device(parse({}).training))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def held_bytes(pid: int) -> int:
    """The most a living process ever held; 0 once it is gone."""
    status = Path(f"/proc/{pid}/status")
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


WAYS: dict[str, Callable[[str, int], dict[str, Any]]] = {"plain": plain, "bare": bare, "studio": studio}


def in_a_process(way: str, cut: str, steps: int) -> dict[str, Any]:
    """What one way took, in a new process; the bare loop's keeps its memory as the worker's does."""
    from core.training import heap

    asked = [sys.executable, "-m", "benchmarks.train_speed", way, cut, str(steps)]
    extra = heap.surroundings(recipe(cut, steps), "cpu") if way == "bare" else {}
    run = subprocess.run(asked, env=os.environ | extra, check=False, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{way} failed:\n{run.stderr[-3000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def compare(cut: str, steps: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """All ways in turn, each as often."""
    ways = [way for way in WAYS if way != "bare" or not on_gpu()]
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            found[way].append(in_a_process(way, cut, steps))
            print(f"  {way} {cut}: {found[way][-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    tokens = sum(found["plain"][0]["tokens"][1:])
    for run in (run for runs in found.values() for run in runs):
        run["tokens_per_s"] = tokens / run["seconds"]
    return found


def middle(runs: list[dict[str, Any]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def written(runs: list[dict[str, Any]], key: str) -> str:
    values = [run[key] for run in runs]
    return f"{statistics.median(values):8.2f}  {min(values):8.2f}  {max(values):8.2f}"


def show(cut: str, found: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Print a setting's table; its figures."""
    print(f"\nbatch {cut.replace('x', ' x ')} {'':12}{'median':>8}  {'min':>8}  {'max':>8}")
    for way, runs in found.items():
        print(f"{way + ', tokens/s':24}{written(runs, 'tokens_per_s')}")
    for way, runs in found.items():
        print(f"{way + ', peak GB':24}{written(runs, 'peak_gb')}")
    for way, runs in found.items():
        print(f"loss, {way:18}" + " ".join(f"{loss:.4f}" for loss in runs[0]["losses"]))
    figures = {
        "ratio": middle(found["studio"], "tokens_per_s") / middle(found["plain"], "tokens_per_s"),
        "memory_share": middle(found["studio"], "peak_gb") / middle(found["plain"], "peak_gb"),
        **over_bare(found),
        "largest_loss_difference": difference(found["studio"][0], found["plain"][0]),
        "to_running_s": middle(found["studio"], "to_running_s"),
    }
    goal = "" if on_gpu() else f" (goal {GOALS.get(cut, 1)})"
    print(
        f"studio against plain: {figures['ratio']:.2f} times{goal}, {figures['memory_share']:.0%} of its memory; "
        + (f"against the bare loop {figures['overhead']:+.1%}; " if "overhead" in figures else "")
        + f"largest difference of a loss {figures['largest_loss_difference']:.4f}; "
        f"{figures['to_running_s']:.1f} s from start to training"
    )
    return {f"{name}_{cut}": round(value, 4) for name, value in figures.items()}


def over_bare(found: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """What the studio takes beyond a bare loop, as a share of it, where there is one."""
    if "bare" not in found:
        return {}
    return {"overhead": middle(found["studio"], "seconds") / middle(found["bare"], "seconds") - 1}


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    return max(abs(a - b) for a, b in zip(one["losses"], other["losses"], strict=True))


def main(steps: int, rounds: int, cuts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("STUDIO_HOME", folder)
        prepared(cuts[0], steps)
        where = f"{GPU_MODEL} on a GPU" if on_gpu() else f"starter model, {os.cpu_count()} cores"
        print(f"{steps} steps of 8 rows of GSM8K, LoRA, {where}, {rounds} rounds in turn")
        figures = {}
        for cut in cuts:
            figures |= show(cut, compare(cut, steps, rounds))
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in WAYS:
        print(json.dumps(WAYS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
    else:
        numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
        cuts = [word for word in sys.argv[1:] if "x" in word]
        main(*(numbers + [8, 2][len(numbers) :]), cuts or list(GOALS))
