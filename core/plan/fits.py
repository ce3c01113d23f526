"""Whether a model fits a machine at all: with a small adapter, one short conversation at a time. No torch."""

import functools
from dataclasses import replace
from typing import Literal

from core import catalog
from core.hardware import Machine
from core.plan.memory_plan import memory, share_fit
from core.plan.plan import model_bytes
from core.plan.setting import Setting
from core.plan.settled import setting
from core.plan.workload import assumed
from core.recipe import Recipe, parse

Fit = Literal["fits", "tight", "qlora", "too big"]

SMALL = {"data": {"max_length": 512}, "lora": {"rank": 16}, "training": {"batch": 1}}
# What a small training takes beside the weights, where only their size is known.
WORKING_BYTES = 1_500_000_000


def fit(source: str, machine: Machine) -> Fit | None:
    """How a small training fits the memory of this machine's device: with LoRA, else with QLoRA; None if unknown."""
    if catalog.model(source) is None:  # its files may come or change
        return _fit(source, machine)
    idle = tuple(replace(gpu, free_bytes=0, load=None) for gpu in machine.gpus)
    return _known_fit(source, replace(machine, ram_free_bytes=0, disk_free_bytes=0, gpus=idle))


def _fit(source: str, machine: Machine) -> Fit | None:
    asked = setting(_small(source, "lora"), machine)
    if asked is None:
        size = model_bytes(source)
        per_byte = 2 if machine.precision.name == "fp32" else 1
        return share_fit(size * per_byte * 1.15 + WORKING_BYTES, machine.memory_bytes) if size else None
    verdict = share_fit(_peak(asked), machine.memory_bytes)
    if verdict != "too big" or machine.device == "mps":  # bitsandbytes has no 4 bits there
        return verdict
    smaller = setting(_small(source, "qlora"), machine)
    return "qlora" if smaller and share_fit(_peak(smaller), machine.memory_bytes) != "too big" else "too big"


# A page asks for every model on every run.
_known_fit = functools.lru_cache(maxsize=256)(_fit)


def _small(source: str, method: str) -> Recipe:
    return parse(SMALL | {"model": {"source": source}, "lora": SMALL["lora"] | {"method": method}})


def _peak(asked: Setting) -> int:
    return memory(asked, assumed(asked.recipe)).peak_bytes
