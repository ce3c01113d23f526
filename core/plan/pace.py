"""How fast a device of this machine is, as a job has measured it once; before, what devices of its kind usually do. No torch."""

import json
from dataclasses import dataclass

from core import home
from core.files import read_json, write_whole
from core.hardware import Machine
from core.plan import fitted


@dataclass(frozen=True)
class Pace:
    """Floating-point operations in matrix products, numbers that an activation function goes through, and calls from Python; a second."""

    flops: float
    numbers: float
    calls: float


def pace_of(machine: Machine) -> Pace:
    """Measured where a job has trained here before, else the usual one."""
    return measured_pace(machine.device_name) or usual_pace(machine)


def usual_pace(machine: Machine) -> Pace:
    """What a device of this kind usually does, where nothing was measured on it."""
    if machine.device == "cpu":
        flops = fitted.CPU_CORE_FLOPS[machine.cpu_bf16] * machine.cores
    else:
        known = fitted.GPU_FLOPS.get(machine.gpus[0].capability) if machine.gpus else None
        flops = known or fitted.OTHER_FLOPS
    return Pace(flops, fitted.NUMBERS_PER_S[machine.device], fitted.CALLS_PER_S[machine.device])


def measured_pace(device: str) -> Pace | None:
    found = (read_json(home.paces_file()) or {}).get(device)
    return Pace(**found) if isinstance(found, dict) and set(found) == {"flops", "numbers", "calls"} else None


def keep_pace(device: str, pace: Pace) -> None:
    """Remember it for every plan on this device."""
    known = read_json(home.paces_file()) or {}
    write_whole(home.paces_file(), json.dumps(known | {device: vars(pace)}, indent=1))
