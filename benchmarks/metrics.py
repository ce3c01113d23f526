"""What a refresh of the Train page costs at a thousand and at a million reports, and a rerun of Runs with 1,000 runs.

Usage: python -m benchmarks.metrics [--points 1000000] [--jobs 1000] [--lines 200] [--rounds 11]. Every page is opened through
the shell in one process that cannot import torch. The two live runs lie in homes of their own and take turns; before each
timed refresh a line is appended to the run's metrics, as its worker would.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen

from streamlit.testing.v1 import AppTest

from benchmarks.pages import ROOT, make_home, timed_run
from core import home
from core.files import append_line

FEW = 1000
REPORT = {"epoch": 0.5, "loss": 1.1, "learning_rate": 2e-4, "grad_norm": 0.7, "tokens_per_s": 240.0}
REPORT |= {"memory_bytes": 3.2e9, "elapsed_s": 1.1, "left_s": 1.1}


class Studio:
    """An app on a home of its own, in which one run is live."""

    def __init__(self, folder: Path, jobs: int, lines: int):
        self.folder = folder
        self.reports = lines
        self._enter()
        self.worker: Popen = make_home(jobs, lines)
        self.metrics = next(home.jobs_folder().glob("*live-run*/metrics.jsonl"))
        self.app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=120)

    def _enter(self) -> None:
        os.environ["STUDIO_HOME"] = str(self.folder)

    def open(self, page: str) -> float:
        """Milliseconds until the page is there."""
        self._enter()
        opened = timed_run(self.app)
        self.app.switch_page(f"../pages/{page}.py")
        return opened + timed_run(self.app)

    def refresh(self) -> float:
        """Milliseconds of a rerun after one more report."""
        self._enter()
        self.reports += 1
        append_line(self.metrics, {"step": self.reports} | REPORT)
        return timed_run(self.app)

    def close(self) -> None:
        self.worker.kill()
        self.worker.wait()


def in_turns(studios: dict[str, Studio], rounds: int) -> dict[str, list[float]]:
    """A B A B …, the first round of which only warms up."""
    times: dict[str, list[float]] = {name: [] for name in studios}
    for _ in range(rounds + 1):
        for name, studio in studios.items():
            times[name].append(studio.refresh())
    return {name: taken[1:] for name, taken in times.items()}


def measure(folder: Path, asked: argparse.Namespace) -> tuple[dict[str, list[float]], float]:
    """Milliseconds of each rerun by its name, and the seconds until the long run was open."""
    with ExitStack() as studios:

        def studio(name: str, jobs: int, lines: int) -> Studio:
            made = Studio(folder / name, jobs, lines)
            studios.callback(made.close)
            return made

        few, many = studio("few", 1, FEW), studio("many", 1, asked.points)
        few.open("train")
        first_s = many.open("train") / 1000
        times = in_turns({"few": few, "many": many}, asked.rounds)
        runs = studio("runs", asked.jobs, asked.lines)
        runs.open("runs")
        return times | in_turns({"runs": runs}, asked.rounds), first_s


def report(times: dict[str, list[float]], first_s: float, asked: argparse.Namespace) -> None:
    print(f"{asked.rounds} reruns each, a report appended before each one; {os.cpu_count()} cores; milliseconds")
    print(f"{'':44}{'median':>8}{'min':>8}{'max':>8}")
    titles = {
        "few": f"Train, a live run of {FEW:,} reports",
        "many": f"Train, a live run of {asked.points:,} reports",
        "runs": f"Runs, {asked.jobs:,} runs of {asked.lines:,} reports",
    }
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, title in titles.items():
        print(f"{title:44}{medians[name]:>8.0f}{min(times[name]):>8.0f}{max(times[name]):>8.0f}")
    ratio = medians["many"] / medians["few"]
    print(f"the long run costs {ratio:.2f} times the short one (goal: at most 1.5); Runs has 300 ms")
    print(f"the first look at it took {first_s:.1f} s; torch imported: {sys.modules.get('torch') is not None}")
    figures = {"train_refresh_ms_1e3": medians["few"], f"train_refresh_ms_{_short(asked.points)}": medians["many"]}
    figures |= {"ratio": ratio, "runs_page_ms": medians["runs"]}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()} | {"jobs": asked.jobs}))


def _short(number: int) -> str:
    """1e6"""
    return f"{number:.0e}".replace("e+0", "e")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=11)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="studio-bench-") as folder:
        report(*measure(Path(folder), asked), asked)


if __name__ == "__main__":
    main()
