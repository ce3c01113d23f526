"""The chat engine against a bare `generate`, four models side by side against one after another, memory, switching.

Everything through HTTP, as the page and other tools ask. The bare loop is transformers' own `generate` in a process that
does nothing else, in the same number format; both are measured from the question to the last token. The adapters are of
rank 16 on all linear layers, nearly nothing in them, so that all answers are about as long. `python -m benchmarks.chat
[ROUNDS] [TOKENS]`, with the starter model of `$STUDIO_HOME`, which is fetched if it is not there.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from core import home
from core.hardware import memory_use_of
from core.inference import client, process
from core.inference.client import Sampling
from tests.toy_run import make_toy_run

QUESTION = [{"role": "user", "content": "Write a long story about a tent in the mountains, with many details."}]
STEPS = tuple(range(10, 80, 10))


def bare(folder: str, tokens: str) -> None:
    """Answer the question each time a line comes in, and print tokens per second."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        asked = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_tensors="pt")
        with torch.inference_mode():
            said = model.generate(**asked, max_new_tokens=int(tokens), do_sample=False)
        made = said.shape[1] - asked["input_ids"].shape[1]
        print(made / (time.perf_counter() - began), flush=True)


def adapters(folder: str, *places: str) -> None:
    """Save an adapter in each of the places."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config)
    for seed, place in enumerate(places):
        torch.manual_seed(seed)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=1e-4)
        model.save_pretrained(place)


class Bare:
    """The bare loop, in a process of its own that waits in between."""

    def __init__(self, folder: Path, tokens: int):
        command = [sys.executable, "-m", "benchmarks.chat", "bare", str(folder), str(tokens)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, **pipes)
        self.process.stdout.readline()

    def tokens_per_s(self) -> float:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


class Figures(dict[str, list[float]]):
    """What was measured, a list for each name."""

    def add(self, name: str, value: float | None) -> None:
        self.setdefault(name, []).append(value or 0.0)

    def median(self, name: str) -> float:
        return statistics.median(self[name])


def ask(model: str, tokens: int) -> tuple[float, float, int]:
    """Seconds to the first text and to the end, and the tokens."""
    began = time.perf_counter()
    answer = client.stream(process.running(), model, QUESTION, Sampling(temperature=0, max_tokens=tokens))
    list(answer)
    return answer.stats.seconds_to_first or 0.0, time.perf_counter() - began, answer.stats.tokens


def side_by_side(models: list[str], tokens: int) -> float:
    """Tokens per second of all together."""
    began = time.perf_counter()
    answers = client.compare(process.running(), models, QUESTION, Sampling(temperature=0, max_tokens=tokens))
    list(answers)
    return sum(stats.tokens for stats in answers.all_stats) / (time.perf_counter() - began)


def one_after_another(models: list[str], tokens: int) -> float:
    began = time.perf_counter()
    return sum(ask(model, tokens)[2] for model in models) / (time.perf_counter() - began)


def base_against_bare(figures: Figures, loop: Bare, rounds: int, tokens: int) -> None:
    """In turn, nothing else between: both then find the same shapes prepared, which a CPU's library keeps by the hundred."""
    ask("starter", tokens)
    loop.tokens_per_s()
    for _ in range(rounds):
        figures.add("bare_tokens_per_s", loop.tokens_per_s())
        first, seconds, made = ask("starter", tokens)
        figures.add("first_token_s", first)
        figures.add("base_tokens_per_s", made / seconds)


def measure(folder: Path, rounds: int, tokens: int) -> Figures:
    figures, models = Figures(), ["starter", "run", "run@10", "run@20"]
    engine, loop = process.engine(), Bare(folder, tokens)
    figures.add("memory_before_mb", waiting_mb(engine))
    figures.add("first_token_cold_s", ask("starter", 1)[0])
    base_against_bare(figures, loop, rounds, tokens)
    side_by_side(models, 2)
    for number in range(rounds):
        _, seconds, made = ask("run", tokens)
        figures.add("adapter_tokens_per_s", made / seconds)
        figures.add("side_by_side_tokens_per_s", side_by_side(models, tokens // 2))
        figures.add("one_by_one_tokens_per_s", one_after_another(models, tokens // 2))
        # Another checkpoint each time: one that was never in memory.
        ask("run@10", 1)
        figures.add("switch_s", ask(f"run@{STEPS[2 + number % 5]}", 1)[0])
    figures.add("memory_loaded_mb", client.state(engine).memory_bytes / 1e6)
    client.unload(engine)
    figures.add("memory_unloaded_mb", waiting_mb(engine))
    for _ in range(4):
        side_by_side(models, 8)
        client.unload(engine)
        figures.add("memory_unloaded_again_mb", waiting_mb(engine))
    process.stop()  # as the page's Unload does
    figures.add("memory_after_page_s_unload_mb", memory_use_of(engine.pid) / 1e6)
    loop.process.kill()
    return figures


def waiting_mb(engine: process.Engine) -> float:
    """What an engine holds that has set up what any first answer needs, and waits for one."""
    time.sleep(4)
    return client.state(engine).memory_bytes / 1e6


def report(figures: Figures, rounds: int, tokens: int) -> None:
    print(f"Starter model, {os.cpu_count()} cores, {tokens} tokens, {rounds} rounds in turn")
    print(f"{'':28}{'median':>10}{'min':>10}{'max':>10}")
    for name, values in figures.items():
        print(f"{name:28}{statistics.median(values):>10.2f}{min(values):>10.2f}{max(values):>10.2f}")
    medians = {name: round(figures.median(name), 3) for name in figures}
    ratios = {
        "engine_against_bare": medians["base_tokens_per_s"] / medians["bare_tokens_per_s"],
        "side_by_side_against_one_by_one": medians["side_by_side_tokens_per_s"] / medians["one_by_one_tokens_per_s"],
        "memory_left_share": medians["memory_unloaded_mb"] / medians["memory_before_mb"] - 1,
    }
    print(json.dumps({name: round(value, 3) for name, value in ratios.items()} | medians))


def main(rounds: int, tokens: int) -> None:
    fetch = "from core.models.load import fetch; print(fetch('starter').folder)"
    found = subprocess.run([sys.executable, "-c", fetch], check=True, capture_output=True, text=True).stdout
    starter = Path(found.strip().split("\n")[-1])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STUDIO_HOME"] = folder
        home.models_folder().symlink_to(starter.parent, target_is_directory=True)
        run = make_toy_run("run", "starter", lambda place: place, STEPS)
        places = [run.files.adapter, *(run.files.checkpoint(step) for step in STEPS)]
        command = [sys.executable, "-m", "benchmarks.chat", "adapters", str(starter), *map(str, places)]
        subprocess.run(command, check=True, capture_output=True)
        try:
            report(measure(starter, rounds, tokens), rounds, tokens)
        finally:
            process.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        bare(*sys.argv[2:])
    elif sys.argv[1:2] == ["adapters"]:
        adapters(*sys.argv[2:])
    else:
        given = [int(value) for value in sys.argv[1:]]
        main(*(given + [5, 128][len(given) :]))
