"""The most memory that a training has held: of a GPU, what torch reserved and the driver took; of the RAM, the process."""

import os
import resource
import sys
from pathlib import Path

import pynvml
import torch

from core.plan.fitted import CUDA_CONTEXT_BYTES
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
        return torch.cuda.max_memory_reserved() + _beside_torch()
    if STATUS.exists():
        # Not `ru_maxrss`, which begins with what the process held that started this one (man getrusage).
        lines = STATUS.read_text().splitlines()
        if found := next((line for line in lines if line.startswith("VmHWM:")), None):
            return int(found.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def room_bytes() -> int:
    """What a GPU has for this process: what it holds already, and what nobody holds."""
    return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() + _beside_torch()


def _beside_torch() -> int:
    """What the driver and the libraries hold of the GPU for this process; the usual, where the driver does not tell.

    In a container it knows this process by another number.
    """
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties().uuid}")
        found = {one.pid: one.usedGpuMemory for one in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    except pynvml.NVMLError:
        return CUDA_CONTEXT_BYTES
    beside = (found.get(os.getpid()) or 0) - torch.cuda.memory_reserved()
    return beside if beside > 0 else CUDA_CONTEXT_BYTES
