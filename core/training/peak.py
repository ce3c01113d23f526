"""The most memory that a training has held: what torch reserved of a GPU, what the process held of the RAM."""

import resource
import sys
from pathlib import Path

import torch

from core.training.device import Device

STATUS = Path("/proc/self/status")
# Writing a 5 there makes the most that was ever held what is held now (man proc_pid_clear_refs).
FORGET = Path("/proc/self/clear_refs")


def forget(device: Device) -> None:
    """Measure from now on; where the system cannot forget, from the start of the process."""
    if device.kind == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif FORGET.exists():
        try:
            FORGET.write_text("5")
        except PermissionError:  # in some containers
            return


def peak_bytes(device: Device) -> int:
    """Bytes at the worst moment since `forget`."""
    if device.kind == "cuda":
        return torch.cuda.max_memory_reserved()
    if STATUS.exists():
        # Not `ru_maxrss`, which begins with what the process held that started this one (man getrusage).
        lines = STATUS.read_text().splitlines()
        if found := next((line for line in lines if line.startswith("VmHWM:")), None):
            return int(found.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
