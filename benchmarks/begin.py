"""What a worker loads before it begins: as it is started here, and as Python and PyTorch load the same by themselves.

Without PyTorch's compiler, and hardly looking for garbage meanwhile, against with both; processes in turn, on a CPU.
`python -m benchmarks.begin [ROUNDS] [KIND]`, KIND of a job: train, prepare, evaluate …
"""

import json
import os
import statistics
import subprocess
import sys
from typing import Any

from core.jobs.kinds import KINDS
from core.models import compiler

MEASURED = """
import json, resource, sys
from importlib import import_module
from core.jobs.__main__ import _imported

(_imported if sys.argv[1] == "studio" else import_module)(sys.argv[2])
used = resource.getrusage(resource.RUSAGE_SELF)
held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"processor_s": used.ru_utime + used.ru_stime, "held_mb": held / 1000, "modules": len(sys.modules)}))
"""
WAYS: dict[str, dict[str, str]] = {"studio": compiler.UNUSED, "plain": dict.fromkeys(compiler.UNUSED, "0")}


def loaded(way: str, kind: str) -> dict[str, Any]:
    """Seconds of the processor, megabytes held, and modules, in a new process."""
    asked = [sys.executable, "-c", MEASURED, way, KINDS[kind]]
    run = subprocess.run(asked, env=os.environ | WAYS[way], check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def main(rounds: int = 5, kind: str = "train") -> None:
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            found[way].append(loaded(way, kind))
    print(f"What a worker loads to {kind}; {rounds} times in turn, median (least to most)\n")
    figures: dict[str, float] = {}
    for name in ("processor_s", "held_mb", "modules"):
        for way, runs in found.items():
            values = [run[name] for run in runs]
            figures[f"{name}_{way}"] = round(statistics.median(values), 2)
            print(f"{name:12} {way:7} {figures[f'{name}_{way}']:9.2f} ({min(values):.2f} to {max(values):.2f})")
        figures[f"{name}_ratio"] = round(figures[f"{name}_studio"] / figures[f"{name}_plain"], 3)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
