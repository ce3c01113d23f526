"""What the studio says about a machine, with a toy in place of the GPU driver and of Linux control groups."""

import subprocess
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from core import hardware
from core.hardware import Gpu, Machine, machine, memory_use_of, precision

GIB = 2**30
T4 = Gpu("Tesla T4", 15 * GIB, 14 * GIB, 0.37, (7, 5))
A100 = Gpu("NVIDIA A100-SXM4-40GB", 40 * GIB, 39 * GIB, None, (8, 0))


@dataclass
class ToyDriver:
    """As much of NVML as the studio uses; GPUs are their own handles, a load of None is one that cannot be measured."""

    gpus: list[Gpu] = field(default_factory=list)
    failure: Exception | None = None
    NVMLError = pynvml.NVMLError
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported

    def nvmlInit(self):
        if self.failure:
            raise self.failure

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        if index >= len(self.gpus):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return self.gpus[int(uuid.removeprefix("GPU-"))]

    def nvmlDeviceGetName(self, gpu):
        return gpu.name

    def nvmlDeviceGetMemoryInfo(self, gpu):
        return SimpleNamespace(total=gpu.memory_bytes, free=gpu.free_bytes)

    def nvmlDeviceGetCudaComputeCapability(self, gpu):
        return gpu.capability

    def nvmlDeviceGetUtilizationRates(self, gpu):
        if gpu.load is None:
            raise pynvml.NVMLError_NotSupported()
        return SimpleNamespace(gpu=round(gpu.load * 100))


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    toy = ToyDriver([T4, A100])
    monkeypatch.setattr(hardware, "pynvml", toy)
    return toy


def linux(root, membership, **groups):
    """A toy /proc and /sys: each group, by its path with __ for /, has (limit, usage, cached) in bytes."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    for path, (limit, usage, cached) in groups.items():
        folder = root / "sys/fs/cgroup" / path.replace("__", "/").strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        old = path.startswith("memory")
        (folder / ("memory.limit_in_bytes" if old else "memory.max")).write_text(f"{limit}\n")
        (folder / ("memory.usage_in_bytes" if old else "memory.current")).write_text(f"{usage}\n")
        (folder / "memory.stat").write_text(f"anon 1\n{'total_' if old else ''}inactive_file {cached}\n")
    return root


@pytest.mark.parametrize(
    ("device", "capability", "name"),
    [
        ("cuda", (9, 0), "bf16"),
        ("cuda", (8, 0), "bf16"),
        ("cuda", (7, 5), "fp16"),
        ("cuda", (6, 1), "fp16"),
        ("mps", None, "fp32"),
        ("cpu", None, "fp32"),
    ],
)
def test_precision_is_what_the_device_can_compute(device, capability, name):
    assert precision(device, capability).name == name


def test_a_cuda_device_of_unknown_capability_gets_no_guess():
    with pytest.raises(ValueError, match="capability"):
        precision("cuda", None)


def test_a_t4_is_told_why_it_trains_in_fp16(driver, tmp_path):
    chosen = machine(tmp_path).precision
    assert (chosen.name, chosen.reason) == ("fp16", "The Tesla T4 has no bf16, so fp16 with loss scaling")


def test_the_gpus_and_their_load_are_read_from_the_driver(driver, tmp_path):
    here = machine(tmp_path)
    assert here.gpus == (T4, A100)
    assert (here.device, here.device_name) == ("cuda", "Tesla T4")
    assert (here.memory_bytes, here.memory_free_bytes) == (15 * GIB, 14 * GIB)


@pytest.mark.parametrize(("chosen", "seen"), [("1", (A100,)), ("1,0", (A100, T4)), ("GPU-1", (A100,)), ("", ())])
def test_only_the_gpus_that_cuda_may_see_count(driver, monkeypatch, tmp_path, chosen, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert machine(tmp_path).gpus == seen


@pytest.mark.parametrize(
    "failure",
    [pynvml.NVMLError_LibraryNotFound(), pynvml.NVMLError_DriverNotLoaded(), pynvml.NVMLError_LibRmVersionMismatch()],
)
def test_without_a_working_driver_training_falls_to_the_cpu(driver, tmp_path, failure):
    driver.failure = failure
    here = machine(tmp_path)
    assert not here.gpus and here.device in ("cpu", "mps")
    assert here.memory_bytes == here.ram_bytes


def test_a_bug_in_reading_the_gpus_stays_loud(driver, tmp_path):
    driver.failure = TypeError("a bug")
    with pytest.raises(TypeError):
        machine(tmp_path)


@pytest.mark.parametrize(
    ("cores", "apple", "device", "name"),
    [(2, False, "cpu", "CPU, 2 cores"), (1, False, "cpu", "CPU, 1 core"), (8, True, "mps", "Apple GPU")],
)
def test_a_machine_without_nvidia_trains_in_ram(cores, apple, device, name):
    here = Machine(cores, 16 * GIB, 9 * GIB, 100 * GIB, 50 * GIB, apple_gpu=apple)
    assert (here.device, here.device_name, here.precision.name) == (device, name, "fp32")
    assert (here.memory_bytes, here.memory_free_bytes) == (16 * GIB, 9 * GIB)


def test_this_machine_reads_sensibly(tmp_path):
    here = machine(tmp_path)
    assert 1 <= here.cores <= psutil.cpu_count()
    assert 0 < here.ram_free_bytes < here.ram_bytes <= psutil.virtual_memory().total
    assert 0 < here.disk_free_bytes < here.disk_bytes


def test_the_disk_is_read_for_a_folder_that_is_yet_to_be_made(tmp_path):
    assert machine(tmp_path / "not/there/yet").disk_bytes == machine(tmp_path).disk_bytes


@pytest.mark.parametrize(
    ("membership", "groups"),
    [
        ("0::/\n", {"": (GIB, 512 << 20, 256 << 20)}),
        ("0::/work/job\n", {"work": (GIB, 512 << 20, 256 << 20), "work__job": ("max", 1, 0)}),
        ("0::/docker/of-the-host\n", {"": (GIB, 512 << 20, 256 << 20)}),
        ("4:cpu:/x\n3:memory:/job\n0::/\n", {"memory__job": (GIB, 512 << 20, 256 << 20)}),
        ("3:cpu,memory:/docker/of-the-host\n", {"memory": (GIB, 512 << 20, 256 << 20)}),
    ],
    ids=["v2 container", "v2 parent", "v2 without namespace", "v1", "v1 container"],
)
def test_a_container_has_the_memory_of_its_limit_and_cached_files_count_as_free(tmp_path, membership, groups):
    here = machine(tmp_path, root=linux(tmp_path, membership, **groups))
    assert (here.ram_bytes, here.ram_free_bytes) == (GIB, 768 << 20)


@pytest.mark.parametrize("limit", ["max", 2**63 - 4096])
def test_a_container_without_a_real_limit_has_all_the_ram(tmp_path, limit):
    here = machine(tmp_path, root=linux(tmp_path, "0::/\n", **{"": (limit, 0, 0)}))
    assert here.ram_bytes == psutil.virtual_memory().total


def test_a_process_is_measured_with_its_children_and_theirs():
    code = "held = b'x' * 90_000_000; print('ready', flush=True); input()"
    for _ in range(2):
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.readline()
        assert memory_use_of(process.pid) > 90_000_000 > psutil.Process(process.pid).memory_info().rss
        process.communicate(b"\n")
    assert memory_use_of(process.pid) == 0
