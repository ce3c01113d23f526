"""What this machine has, read without torch: devices, memory, disk, and the precision that follows from them."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import pynvml

Device = Literal["cuda", "mps", "cpu"]

BF16 = {"avx512_bf16", "amx_bf16"}
IMITATED = (
    "This CPU has no instructions for bf16: it imitates them, some forty times as slowly as fp32. "
    "Set training.precision to auto."
)

# Where Linux control groups keep their memory figures: folder, limit, usage, and the part of it that is cached files.
CGROUP_2 = ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
CGROUP_1 = ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU; `load` is 0 to 1, or None where the driver does not measure it."""

    name: str
    memory_bytes: int
    free_bytes: int
    load: float | None
    capability: tuple[int, int]


@dataclass(frozen=True)
class Precision:
    """A number format for training, and why, in a sentence for a person."""

    name: Literal["bf16", "fp16", "fp32"]
    reason: str


@dataclass(frozen=True)
class Machine:
    """One reading; RAM is what this process may use, so a container's limit where that is smaller."""

    cores: int
    ram_bytes: int
    ram_free_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    gpus: tuple[Gpu, ...] = ()
    apple_gpu: bool = False
    cpu_bf16: bool = False
    cpu_imitates_bf16: bool = False

    @property
    def device(self) -> Device:
        """Where training runs: the first GPU, else Apple's, else the CPU."""
        return "cuda" if self.gpus else "mps" if self.apple_gpu else "cpu"

    @property
    def device_name(self) -> str:
        """Such as "Tesla T4", "Apple GPU" or "CPU, 2 cores"."""
        if self.gpus:
            return self.gpus[0].name
        return "Apple GPU" if self.apple_gpu else f"CPU, {self.cores} core{'s' if self.cores != 1 else ''}"

    @property
    def memory_bytes(self) -> int:
        """Memory of the device that trains; an Apple GPU shares the RAM."""
        return self.gpus[0].memory_bytes if self.gpus else self.ram_bytes

    @property
    def memory_free_bytes(self) -> int:
        """The part of `memory_bytes` that nobody uses now."""
        return self.gpus[0].free_bytes if self.gpus else self.ram_free_bytes

    @property
    def precision(self) -> Precision:
        """What `precision: auto` means here."""
        return precision(self.device, self.gpus[0].capability if self.gpus else None, self.device_name, self.cpu_bf16)

    def imitates(self, precision: str) -> bool:
        """Whether a training in this precision would go many times as slowly as in the one that is chosen here."""
        return self.device == "cpu" and precision == "bf16" and self.cpu_imitates_bf16


def precision(
    device: Device, capability: tuple[int, int] | None = None, name: str = "GPU", cpu_bf16: bool = False
) -> Precision:
    """The format for a device; bf16 needs compute capability 8.0 (CUDA C++ Programming Guide, arithmetic instructions).

    Raises ValueError for "cuda" without a capability.
    """
    if device == "cpu" and cpu_bf16:
        return Precision("fp32", "Training runs on the CPU, so fp32, multiplied in bf16, for which it has instructions")
    if device == "cpu":
        return Precision("fp32", "Training runs on the CPU, so fp32")
    if device == "mps":
        return Precision("fp32", "Training runs on an Apple GPU, where fp32 is the dependable choice")
    if capability is None:
        raise ValueError("precision on cuda needs the GPU's compute capability")
    if capability >= (8, 0):
        return Precision("bf16", f"The {name} computes in bf16, which needs no loss scaling")
    return Precision("fp16", f"The {name} has no bf16, so fp16 with loss scaling")


def machine(folder: Path, root: Path = Path("/")) -> Machine:
    """Read the machine now, and the disk that holds `folder`, which need not exist yet. `root` holds /proc and /sys."""
    ram = psutil.virtual_memory()
    limits = [(ram.total, ram.available), *_memory_limits(root)]
    disk = shutil.disk_usage(next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists()))
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        ram_bytes=min(total for total, _ in limits),
        ram_free_bytes=max(0, min(free for _, free in limits)),
        disk_bytes=disk.total,
        disk_free_bytes=disk.free,
        gpus=_gpus(),
        cpu_bf16=cpu_has_bf16(root),
        cpu_imitates_bf16=cpu_imitates_bf16(root),
        apple_gpu=(platform.system(), platform.machine()) == ("Darwin", "arm64"),
    )


def cpu_has_bf16(root: Path = Path("/")) -> bool:
    """Whether this CPU multiplies in bf16 (AVX-512 BF16 or AMX); without, it would only be imitated, and slower."""
    return bool(BF16 & _cpu_flags(root))


def cpu_imitates_bf16(root: Path = Path("/")) -> bool:
    """Whether this CPU is known to multiply bf16 number by number: oneDNN has products for it from AVX-512 on."""
    flags = _cpu_flags(root)
    return bool(flags) and not flags & {"avx512bw", *BF16}


def _cpu_flags(root: Path) -> set[str]:
    """What an x86 CPU can do, by the kernel's names; empty on others."""
    facts = root / "proc/cpuinfo"
    text = facts.read_text() if facts.exists() else ""
    return next((set(line.split(":", 1)[1].split()) for line in text.splitlines() if line.startswith("flags")), set())


def memory_use_of(pid: int) -> int:
    """Bytes of RAM that a process and its children hold (resident; shared pages count in each); 0 once it is gone."""
    try:
        process = psutil.Process(pid)
        return sum(_resident_bytes(member) for member in (process, *process.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:  # ended since it was listed
        return 0


def _gpus() -> tuple[Gpu, ...]:
    try:
        # Never shut down: without persistence mode opening the driver anew takes a second, a further init is free.
        pynvml.nvmlInit()
        return tuple(_gpu(handle) for handle in _visible_handles())
    except pynvml.NVMLError:  # no driver, no GPU, or one that the driver cannot speak to: CUDA finds none either
        return ()


def _visible_handles() -> list:
    """The GPUs that CUDA would see: NVML itself ignores CUDA_VISIBLE_DEVICES."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    names = [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    by_index, by_uuid = pynvml.nvmlDeviceGetHandleByIndex, pynvml.nvmlDeviceGetHandleByUUID
    return [by_index(int(name)) if name.isdigit() else by_uuid(name) for name in names]


def _gpu(handle) -> Gpu:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    capability = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(pynvml.nvmlDeviceGetName(handle), memory.total, memory.free, _load(handle), capability)


def _load(handle) -> float | None:
    try:
        return pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    except pynvml.NVMLError_NotSupported:  # a slice of a GPU (MIG) has no measure of its own
        return None


def _memory_limits(root: Path) -> list[tuple[int, int]]:
    """(limit, free) in bytes of every control group around this process, version 2 or 1 (docs.kernel.org, cgroup)."""
    membership = root / "proc/self/cgroup"
    found = []
    for line in membership.read_text().splitlines() if membership.exists() else ():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            folder, *files = CGROUP_2 if number == "0" else CGROUP_1
            top, group = root / folder, root / folder / path.strip("/")
            # Ancestors limit their children. In a container `path` may be the host's and absent here: only `top` is.
            found += [_limit(place, *files) for place in (group, *group.parents) if place.is_relative_to(top)]
    return [limit for limit in found if limit]


def _limit(group: Path, limit_file: str, usage_file: str, cached: str) -> tuple[int, int] | None:
    """A group's limit and what is left of it; cached files count as left, the kernel drops them first."""
    if not (group / limit_file).exists() or (limit := (group / limit_file).read_text().strip()) == "max":
        return None
    statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    used = int((group / usage_file).read_text()) - int(statistics[cached])
    return int(limit), int(limit) - used
