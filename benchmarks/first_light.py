"""The whole starter job through the command line, as a newcomer would do it: how long, how much memory, did it learn?

Starts from an empty home (the model is fetched and de-quantised too), trains the quick start's recipe, then asks base and
tuned model the 40 held-out prompts and counts the answers in the taught manner. Prints a table and a line of JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from core.data.starter.generate import in_manner, rows
from core.hardware import memory_use_of
from core.inference import process
from core.inference.client import Sampling, stream
from core.jobs.listing import find_job
from core.quick_start import quick_start
from core.recipe_yaml import to_yaml

SAMPLING = Sampling(temperature=0, max_tokens=96)
APP = [sys.executable, "-m", "studio", "8599"]


class Peak(threading.Thread):
    """The largest memory a process and its children were seen to hold."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.pids: dict[str, int] = {}
        self.bytes: dict[str, int] = {}

    def run(self) -> None:
        while True:
            for name, pid in list(self.pids.items()):
                self.bytes[name] = max(self.bytes.get(name, 0), memory_use_of(pid))
            time.sleep(0.2)


def train(home: Path, peak: Peak) -> tuple[str, float]:
    """Run the command line to its end; the job's id and the seconds from start to finished."""
    recipe = home / "quick_start.yaml"
    recipe.write_text(to_yaml(quick_start()))
    began = time.monotonic()
    job_id = command("train", str(recipe), "--detach").strip()
    job = find_job(job_id)
    peak.pids["worker"] = job.worker.pid
    while job.status.live:
        time.sleep(0.2)
    seconds = time.monotonic() - began
    peak.pids.pop("worker")
    if job.status != "finished":
        sys.exit(f"The training ended as {job.status}: {job.result}\n{job.log_tail()}")
    return job_id, seconds


def command(*words: str) -> str:
    """A command of the studio's own, in a process of its own."""
    return subprocess.run([sys.executable, "-m", "core", *words], check=True, capture_output=True, text=True).stdout


def share_in_manner(model: str) -> float:
    """How many of the held-out prompts a model answers in the taught manner, 0 to 1."""
    return sum(in_manner(answer(model, row["messages"][0]["content"])) for row in rows("held_out")) / len(
        rows("held_out")
    )


def answer(model: str, question: str) -> str:
    return "".join(stream(process.engine(), model, [{"role": "user", "content": question}], SAMPLING))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STUDIO_HOME"] = folder
        peak = Peak()
        peak.start()
        app = subprocess.Popen(APP, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak.pids["app"] = app.pid
        try:
            job_id, seconds = train(Path(folder), peak)
            shares = {"base": share_in_manner("starter"), "tuned": share_in_manner(job_id)}
        finally:
            process.stop()
            app.kill()
    print(
        f"\nQuick start on {os.cpu_count()} cores, empty home, greedy answers to {len(rows('held_out'))} held-out prompts"
    )
    print(f"  start to finished      {seconds:8.0f} s     (goal: under 300)")
    print(f"  base in the manner     {shares['base']:8.1%}     (goal: at most 5 %)")
    print(f"  tuned in the manner    {shares['tuned']:8.1%}     (goal: at least 90 %)")
    for name, size in peak.bytes.items():
        print(f"  peak memory, {name:<9} {size / 1e9:8.2f} GB")
    figures = {
        "seconds_to_finished": round(seconds, 1),
        "base_share": shares["base"],
        "tuned_share": shares["tuned"],
        "worker_peak_bytes": peak.bytes["worker"],
        "app_peak_bytes": peak.bytes["app"],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
