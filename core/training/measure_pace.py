"""Measure how fast a device multiplies, how fast it goes through numbers, and how fast Python calls it: a second, inside a job."""

import time
from collections.abc import Callable
from dataclasses import astuple
from functools import cache

import torch

from core import home
from core.hardware import cpu_has_bf16, machine
from core.plan.pace import Pace, keep_pace, measured_pace
from core.training.device import Device

# Rows of a batch, and the width of a small model's layers: large enough for a rate that a training also reaches.
ROWS, WIDTH = {"cpu": 1024, "cuda": 4096, "mps": 1024}, 2048
# So many calls, each of work that takes no time.
CALLS = 500
ROUNDS = 5
# Where a round takes long, two will do: the first one alone may have waited for memory. But a round of milliseconds takes a
# quarter of a second where it waits for the cores: those do not end it.
FEWEST, ENOUGH_S = 2, 1.0
# So many times in each round: a GPU is waited for as long as it takes to reach it.
TIMES = {"cpu": 1, "cuda": 10, "mps": 1}


def measure_pace(device: Device) -> None:
    """Measure, and remember the fastest that any job has found: what else runs on the machine can only slow it down."""
    name = machine(home.home()).device_name
    known = measured_pace(name) or Pace(0, 0, 0)
    keep_pace(name, Pace(*map(max, astuple(known), astuple(_pace(device)))))


@cache
def _pace(device: Device) -> Pace:
    """As this process finds it: an attempt with less memory is on the same device."""
    return Pace(_flops(device), _numbers(device), _calls(device))


def _flops(device: Device) -> float:
    """Operations a second of a matrix product in the number format in which the training multiplies.

    On a CPU always in one that it has: in another a single product takes half a minute.
    """
    of_cpu = torch.bfloat16 if cpu_has_bf16() else torch.float32
    how = {"device": device.kind, "dtype": of_cpu if device.kind == "cpu" else device.weights_dtype}
    rows = ROWS[device.kind]
    one, other = torch.randn(rows, WIDTH, **how), torch.randn(WIDTH, WIDTH, **how)
    return 2 * rows * WIDTH * WIDTH / _seconds(lambda: one @ other, device)


def _numbers(device: Device) -> float:
    """Numbers a second of an activation function: one read, a little computed, one written."""
    numbers = torch.full((16_000_000,), 0.5, device=device.kind)
    found = torch.empty_like(numbers)  # what is new would have to come from the system first
    return numbers.numel() / _seconds(lambda: torch.sigmoid(numbers, out=found), device)


def _calls(device: Device) -> float:
    """Calls from Python a second."""
    number = torch.ones(1, device=device.kind)

    def call() -> None:
        for _ in range(CALLS):
            number.add_(1)

    return CALLS / _seconds(call, device)


def _seconds(work: Callable[[], object], device: Device) -> float:
    """The fastest of a few rounds, for other programs can only slow it down."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TIMES[device.kind]):
            work()
        if device.kind == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
        if len(taken) >= FEWEST and sum(taken) > ENOUGH_S:
            break
    return min(taken) / TIMES[device.kind]
