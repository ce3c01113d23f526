"""The plan against the truth: memory and time of settings are planned, then run, each in a process of its own.

Three figures a setting: what arithmetic says, what it says after a probe of that setting, and what the run took. The rows are all
longer than the limit, so that every batch is full; a setting of mixed lengths has rows as they come. Those with an objective
learn from pairs. The arithmetic knows the machine's pace (measured for a second at the start of every job), nothing else.

`python -m benchmarks.plan [NUMBER …]` runs the settings of these numbers, all without; on a GPU they are those of
Llama-3.2-1B and 3B with random weights, else of the starter model. What was measured is kept in
`$STUDIO_HOME/plan_benchmark.jsonl`, so that parts of the list add up, and so do rounds: of a setting that was measured several
times the fastest probe and the fastest run are taken, for what else runs on a machine can only slow it down. `python -m
benchmarks.plan show` plans all of it anew.
"""

import json
import statistics
import sys
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.prefer import pairs_file
from core import catalog, home
from core.errors import StudioError
from core.files import append_line
from core.hardware import machine
from core.jobs import launcher
from core.jobs.status import Status
from core.plan.forecast import expected_step_s, forecast
from core.recipe import Recipe, parse
from core.training.probe_recipe import probe_recipe

STEPS = {"cpu": 12, "cuda": 30, "mps": 12}
GOALS = {"computed": 0.15, "probed": 0.07}

CPU_SETTINGS: dict[str, dict[str, Any]] = {
    "lora r16, batch 2, 512": {},
    "lora r4": {"lora.rank": 4, "lora.alpha": 8},
    "lora r128": {"lora.rank": 128, "lora.alpha": 128},
    "batch 1": {"training.batch": 1},
    "batch 4": {"training.batch": 4},
    "batch 1, accumulate 3": {"training.batch": 1, "training.accumulation": 3},
    "length 256": {"data.max_length": 256},
    "length 1024": {"data.max_length": 1024},
    "no dropout": {"lora.dropout": 0.0},
    "attention only": {"lora.targets": "attention"},
    "upper half": {"lora.first_layer": 15},
    "recomputing": {"training.activation_checkpointing": "on", "training.batch": 4},
    "qlora": {"lora.method": "qlora"},
    "qlora, recomputing": {"lora.method": "qlora", "training.activation_checkpointing": "on"},
    "full": {"lora.method": "full"},
    "full, 8-bit optimizer": {"lora.method": "full", "training.optimizer": "adamw_8bit", "training.batch": 1},
    "full, accumulate 2": {"lora.method": "full", "training.accumulation": 2, "training.batch": 1},
    "dora": {"lora.method": "dora"},
    "packing": {"data.packing": "on"},
    "mixed lengths": {"training.batch": 4, "mixed": True},
    "dpo": {"training.objective": "dpo"},
    "dpo, batch 4, mixed lengths": {"training.objective": "dpo", "training.batch": 4, "mixed": True},
    "orpo": {"training.objective": "orpo"},
    "dpo, full, batch 1": {
        "training.objective": "dpo",
        "training.learning_rate": 1e-6,
        "training.batch": 1,
        "lora.method": "full",
    },
}
GPU_SETTINGS: dict[str, dict[str, Any]] = {
    f"{size} {name}": {"shape": f"meta-llama/Llama-3.2-{size}"} | changes
    for size in ("1B", "3B")
    for name, changes in {
        "lora r16, batch 2, 1024": {},
        "lora r64": {"lora.rank": 64},
        "batch 8": {"training.batch": 8},
        "length 2048": {"data.max_length": 2048},
        "recomputing": {"training.activation_checkpointing": "on"},
        "qlora": {"lora.method": "qlora"},
        "qlora, 8-bit optimizer, 2048": {
            "lora.method": "qlora",
            "training.optimizer": "adamw_8bit",
            "training.batch": 1,
            "data.max_length": 2048,
        },
        "full": {"lora.method": "full", "training.batch": 1, "training.optimizer": "adamw_8bit"},
    }.items()
}


def settings() -> dict[str, dict[str, Any]]:
    return GPU_SETTINGS if machine(home.home()).gpus else CPU_SETTINGS


def recipe_of(changes: dict[str, Any]) -> Recipe:
    """A recipe of the benchmark: short, without held-out rows and checkpoints, with the changes on top."""
    changes = dict(changes)
    pairs, mixed = "training.objective" in changes, changes.pop("mixed", False)
    source = _mixed(pairs) if mixed else str(long_rows(pairs))
    model = random_model(changes.pop("shape")) if "shape" in changes else "starter"
    device = machine(home.home()).device
    length = 1024 if device == "cuda" else 512
    values: dict[str, Any] = {
        "name": "plan benchmark",
        "model": {"source": str(model)},
        "data": {"sources": [{"source": source}], "eval_fraction": 0, "max_length": length},
        "lora": {},
        "training": {"batch": 2, "accumulation": 1, "max_steps": STEPS[device]},
        "checkpoints": {"every_steps": None, "every_minutes": None, "keep": 1},
    }
    for path, value in changes.items():
        section, name = path.split(".")
        values[section][name] = value
    return parse(values)


def _mixed(pairs: bool) -> str:
    """Rows as they come: the starter's, or pairs of GSM8K."""
    return str(pairs_file()) if pairs else "starter"


def long_rows(pairs: bool) -> Path:
    """A file of rows, or pairs, that are longer than any limit here."""
    path = home.home() / ("long_pairs.jsonl" if pairs else "long_rows.jsonl")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            for number in range(64):
                ask = " ".join(f"question {number} word {word}" for word in range(8))
                answer, other = (
                    " ".join(f"{word} {number} word {each}" for each in range(1500)) for word in ("answer", "reply")
                )
                row = {"prompt": ask, "chosen": answer, "rejected": other}
                file.write(json.dumps(row if pairs else {"question": ask, "answer": answer}) + "\n")
    return path


def random_model(source: str) -> Path:
    """A model of a known shape with random weights in bf16, and the starter's tokenizer; made once."""
    folder = home.home() / "random" / source.rpartition("/")[2]
    if not (folder / "config.json").exists():
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        from core.models.load import fetch, load_tokenizer

        shape = catalog.model(source)
        config = LlamaConfig(
            vocab_size=shape.vocab_size,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            max_position_embeddings=shape.context,
            tie_word_embeddings=shape.tied_embeddings,
            dtype="bfloat16",
        )
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
        load_tokenizer(fetch("starter")).save_pretrained(folder)
    return folder


def measure(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Probe and run a setting: the lines that both have left in `measured.jsonl`."""
    recipe = recipe_of(changes)
    prepare(recipe)
    home.measured_file().unlink(missing_ok=True)
    here = machine(home.home())
    finish(launcher.start(probe_recipe(recipe, expected_step_s(forecast(recipe, here), here)), "probe"))
    finish(launcher.start(recipe))
    lines = [json.loads(line) for line in home.measured_file().read_text().splitlines()]
    return {"setting": name, "changes": changes} | {line["source"]: line for line in lines}


def compared(row: dict[str, Any]) -> dict[str, Any]:
    """Bytes and seconds a step of a setting: as computed, as computed after its probe, and as the run took."""
    recipe = recipe_of(row["changes"])
    home.measured_file().unlink(missing_ok=True)
    computed = figures(recipe)
    append_line(home.measured_file(), row["probe"])
    probed, run = figures(recipe), {"bytes": row["run"]["peak_bytes"], "step_s": row["run"]["step_s"]}
    found = {"computed": computed, "probed": probed, "run": run}
    return {"setting": row["setting"]} | {key: {how: found[how][key] for how in found} for key in run}


def prepare(recipe: Recipe) -> None:
    """Count the rows, so that the plan knows its batches."""
    if not forecast(recipe, machine(home.home())).counted:
        finish(launcher.start(recipe, "prepare"))


def figures(recipe: Recipe) -> dict[str, float]:
    found = forecast(recipe, machine(home.home()))
    return {"bytes": found.memory.peak_bytes, "step_s": found.time.step_s}


def finish(job) -> None:
    launcher.wait(job)
    if job.status is not Status.FINISHED:
        raise StudioError(f"{job.id}: {job.status}. {job.log_tail(2000)}")


def results_file() -> Path:
    return home.home() / "plan_benchmark.jsonl"


def show() -> None:
    """All settings measured so far, the fastest round of each, and one line of JSON."""
    lines = [json.loads(line) for line in results_file().read_text().splitlines()]
    rounds: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        rounds.setdefault(line["setting"], []).append(line)
    rows = [compared(fastest(of_one)) for of_one in rounds.values()]
    print(f"{lines[0]['run']['device']}, {len(rows)} settings; how far the plan is from the run")
    print(f"{'setting':32}{'run GB':>8}{'computed':>10}{'probed':>8}{'run s/step':>12}{'computed':>10}{'probed':>8}")
    for row in rows:
        memory = f"{row['bytes']['run'] / 1e9:8.2f}" + "".join(f"{off(row, 'bytes', how):>+9.1%}" for how in GOALS)
        print(
            f"{row['setting']:32}{memory}{row['step_s']['run']:>11.2f}"
            + "".join(f"{off(row, 'step_s', how):>+9.1%}" for how in GOALS)
        )
    found = {}
    for what, key in (("memory", "bytes"), ("time", "step_s")):
        for how, goal in GOALS.items():
            errors = [abs(off(row, key, how)) for row in rows]
            found[f"{what}_{how}_worst"] = round(max(errors), 4)
            found[f"{what}_{how}_median"] = round(statistics.median(errors), 4)
            found[f"{what}_{how}_within_goal"] = sum(error <= goal for error in errors)
    print(json.dumps({"settings": len(rows)} | found))


def fastest(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The fastest probe of a setting, and its fastest run."""
    return rounds[0] | {
        kind: min((line[kind] for line in rounds), key=itemgetter("step_s")) for kind in ("probe", "run")
    }


def off(row: dict[str, Any], key: str, how: str) -> float:
    return row[key][how] / row[key]["run"] - 1


def main(numbers: list[int]) -> None:
    known = list(settings().items())
    for name, changes in [known[number - 1] for number in numbers] or known:
        print(f"{name} …", file=sys.stderr, flush=True)
        append_line(results_file(), measure(name, changes))
    show()


if __name__ == "__main__":
    if sys.argv[1:] == ["show"]:
        show()
    else:
        main([int(value) for value in sys.argv[1:]])
