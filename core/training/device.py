"""The device a training runs on, and the number format it can do well: decided by what is there, said in `resolved.yaml`."""

from dataclasses import dataclass, replace
from typing import Literal

import psutil
import torch

from core import home
from core.errors import ModelError
from core.hardware import IMITATED, Gpu, Machine, cpu_has_bf16, machine
from core.hardware import precision as precision_of
from core.recipe_training import TrainingSection
from core.training import speed


@dataclass(frozen=True)
class Device:
    """Where and in which precision; `reason` is a sentence for the person."""

    kind: Literal["cuda", "mps", "cpu"]
    name: str
    precision: Literal["fp32", "bf16", "fp16"]
    reason: str
    imitates: bool = False  # the CPU has no instructions for the precision

    @property
    def weights_dtype(self) -> torch.dtype:
        """The base model's format in memory; the adapter on it is always fp32."""
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]

    def place(self, processes: int = 1) -> speed.Place:
        """What the choices for speed depend on."""
        capability = torch.cuda.get_device_capability() if self.kind == "cuda" else None
        return speed.Place(self.kind, capability, cpu_has_bf16(), processes)

    def machine(self) -> Machine:
        """This machine with the device that torch trains on, which may be another than the driver tells of."""
        here = machine(home.home())
        if self.kind != "cuda":
            return replace(here, gpus=(), apple_gpu=self.kind == "mps")
        total = torch.cuda.get_device_properties().total_memory
        free = min(here.gpus[0].free_bytes if here.gpus else total, total)
        return replace(here, gpus=(Gpu(self.name, total, free, None, torch.cuda.get_device_capability()),))

    def memory_bytes(self) -> int:
        """Memory in use now: what torch holds on the GPU, or what the process holds of the RAM."""
        if self.kind == "cuda":
            return torch.cuda.memory_reserved()
        return psutil.Process().memory_info().rss


def choose_device(training: TrainingSection) -> Device:
    """The device and precision for a recipe; raises ModelError where the asked-for precision cannot work."""
    kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    name = torch.cuda.get_device_name() if kind == "cuda" else {"mps": "Apple GPU", "cpu": "CPU"}[kind]
    capability = torch.cuda.get_device_capability() if kind == "cuda" else None
    if kind == "cpu":
        _refuse_beside_a_gpu()
    _refuse_the_optimizer(training.optimizer, kind, name)
    if training.precision == "auto":
        chosen = precision_of(kind, capability, name, cpu_has_bf16())
        return Device(kind, name, chosen.name, chosen.reason)
    _refuse_the_impossible(training.precision, kind, capability, name)
    asked = f"The recipe asks for {training.precision}"
    if kind == "cpu" and machine(home.home()).imitates(training.precision):
        return Device(kind, name, training.precision, f"{asked}. {IMITATED}", imitates=True)
    return Device(kind, name, training.precision, asked)


def _refuse_beside_a_gpu() -> None:
    # Everything is planned for the GPU; PyTorch would train on the CPU in silence, for days.
    if gpus := machine(home.home()).gpus:
        version = torch.__version__.partition("+")[0]
        raise ModelError(
            f"This machine has a {gpus[0].name}, but PyTorch {torch.__version__} cannot use it: the driver is older than it needs, "
            "or it was built without CUDA. Install a newer driver, or the build that fits this one: pip install uv && "
            f"uv pip install --python .venv/bin/python --torch-backend=auto --reinstall-package torch torch=={version} . "
            "To train on the CPU instead, start the studio with CUDA_VISIBLE_DEVICES=''."
        )


def _refuse_the_impossible(precision: str, kind: str, capability: tuple[int, int] | None, name: str) -> None:
    if precision == "fp16" and kind != "cuda":
        raise ModelError(f"training.precision: fp16 needs a GPU for its loss scaling, and this is {name}. Choose auto.")
    if precision == "bf16" and capability is not None and capability < (8, 0):
        raise ModelError(f"training.precision: the {name} has no bf16. Choose auto, which takes fp16 here.")


def _refuse_the_optimizer(optimizer: str, kind: str, name: str) -> None:
    # bitsandbytes would fall back to an unpaged one on a CPU in silence.
    if optimizer == "paged_adamw_8bit" and kind != "cuda":
        raise ModelError(
            f"training.optimizer: {optimizer} needs a CUDA GPU, and this is {name}. Choose auto or adafactor."
        )
    if optimizer == "adamw_8bit" and kind == "mps":
        raise ModelError(f"training.optimizer: {optimizer} does not run on the {name}. Choose auto or adafactor.")


def set_up(device: Device, training: TrainingSection) -> None:
    """Let matrix products use the hardware: TF32 on newer GPUs, bf16 inside fp32 products on CPUs that have it."""
    shorter = {"bf16": "medium", "tf32": "high", "fp32": "highest"}
    torch.set_float32_matmul_precision(shorter[speed.products(device.place(), training.precision).name])
