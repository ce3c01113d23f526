"""How long a rerun of each page takes with 200 runs of 2,000 reports on disk, and the memory of the app.

Usage: python benchmarks/pages.py [--jobs 200] [--lines 2000] [--rounds 15]. Every page is opened through the shell in one
process that cannot import torch; the pages take turns, so that a busy moment of the machine meets all of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
for heavy in ("torch", "transformers", "peft", "trl", "datasets"):
    sys.modules[heavy] = None  # importing one of them is an error from here on

import psutil
from streamlit.testing.v1 import AppTest

from benchmarks.synthetic_jobs import make_job
from core.jobs import process

ENDS = ("finished", "stopped", "failed", "interrupted")


def make_home(jobs: int, lines: int) -> subprocess.Popen:
    """Many runs that ended in every way, and one that trains: its worker is a living process that does nothing."""
    for number in range(1, jobs):
        make_job(number, f"run-{number}", ENDS[number % len(ENDS)], steps=lines)
    live = make_job(0, "live-run", "running", steps=2 * lines, reported=lines)
    worker = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    process.write(live.files.process, process.born(worker.pid))
    return worker


def timed_run(app: AppTest) -> float:
    """Milliseconds of one rerun; an exception on the page ends the benchmark."""
    start = time.perf_counter()
    app.run()
    elapsed = (time.perf_counter() - start) * 1000
    if app.exception:
        sys.exit(f"The page raised {app.exception[0].message}")
    return elapsed


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Page -> the first opening, later openings, and reruns, in milliseconds."""
    app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=120)
    app.run()
    names = sorted(path.stem for path in (ROOT / "pages").glob("*.py"))
    times: dict[str, dict[str, list[float]]] = {name: {"first": [], "opening": [], "rerun": []} for name in names}
    for turn in range(rounds + 1):
        for name in names:
            app.switch_page(f"../pages/{name}.py")
            times[name]["opening" if turn else "first"].append(timed_run(app))
            if turn:
                times[name]["rerun"].append(timed_run(app))
    return times


def report(times: dict[str, dict[str, list[float]]], jobs: int, lines: int) -> None:
    memory_mb = psutil.Process().memory_info().rss / 1e6
    print(f"{jobs} job folders of {lines:,} metric lines, one of them training; {os.cpu_count()} cores; milliseconds")
    print(f"{'page':16}{'rerun median':>14}{'min':>8}{'max':>8}{'opening':>10}{'first':>8}")
    for name, taken in times.items():
        reruns = taken["rerun"]
        figures = [statistics.median(reruns), min(reruns), max(reruns), statistics.median(taken["opening"])]
        median, low, high, opening = figures
        print(f"{name:16}{median:>14.0f}{low:>8.0f}{high:>8.0f}{opening:>10.0f}{taken['first'][0]:>8.0f}")
    print(f"memory of the app {memory_mb:.0f} MB; torch imported: {sys.modules.get('torch') is not None}")
    medians = {f"{name}_rerun_ms": round(statistics.median(taken["rerun"]), 1) for name, taken in times.items()}
    slowest = max(medians.values())
    print(json.dumps({"slowest_rerun_ms": slowest, "app_memory_mb": round(memory_mb), "jobs": jobs} | medians))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="studio-bench-") as folder:
        os.environ["STUDIO_HOME"] = folder
        worker = make_home(asked.jobs, asked.lines)
        try:
            report(measure(asked.rounds), asked.jobs, asked.lines)
        finally:
            worker.kill()
            worker.wait()


if __name__ == "__main__":
    main()
