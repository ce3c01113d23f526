"""What the machine has and how much of it is in use, and which models fit on it."""

import streamlit as st

from core import catalog
from core.hardware import Machine
from core.plan.fits import fit
from studio import words
from studio.layout import kv, section, split


def _title(title: str, fact: str) -> None:
    with split():
        section(title)
        st.caption(fact, width="content")


def _bar(name: str, text: str, share: float) -> None:
    with st.container(gap=2):
        kv(name, text)
        st.progress(min(1.0, max(0.0, share)))


def gpu_card(machine: Machine) -> None:
    """The GPU that trains; only where there is one."""
    gpu = machine.gpus[0]
    more = f" and {len(machine.gpus) - 1} more" if len(machine.gpus) > 1 else ""
    _title("GPU", gpu.name + more)
    used = gpu.memory_bytes - gpu.free_bytes
    _bar("Memory", words.used_of(used, gpu.memory_bytes), used / gpu.memory_bytes)
    if gpu.load is not None:
        _bar("Load", f"**{words.percent(gpu.load)}**", gpu.load)


def computer_card(machine: Machine) -> None:
    _title("Computer", words.count(machine.cores, "core"))
    ram = machine.ram_bytes - machine.ram_free_bytes
    disk = machine.disk_bytes - machine.disk_free_bytes
    _bar("RAM", words.used_of(ram, machine.ram_bytes), ram / machine.ram_bytes)
    _bar("Disk", words.used_of(disk, machine.disk_bytes), disk / machine.disk_bytes)


def fits_card(machine: Machine) -> None:
    """The largest known model that trains well here, and the largest that just does."""
    _title("What fits here", "LoRA, small batch")
    with st.container(gap="xxsmall"):
        for word, verdicts in (
            ("Comfortably", ("fits",)),
            ("Just about", ("fits", "tight")),
            ("With QLoRA", ("fits", "tight", "qlora")),
        ):
            sizes = [m.parameters for m in catalog.models() if fit(m.source, machine) in verdicts]
            kv(word, f"up to **{words.parameters(max(sizes))}**" if sizes else "nothing")
        kv("Precision", f"**{machine.precision.name}**")
    st.caption(machine.precision.reason)
