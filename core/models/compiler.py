"""PyTorch's compiler, which nothing in the studio uses on a CPU: left unloaded, a process begins sooner and holds less. No torch."""

from core.hardware import Device

# As it is imported, bitsandbytes hands functions to the compiler, which loads it whole. They serve devices for which the
# library brings no code of its own, and on a CPU it does. With this PyTorch takes them as they are (`torch._dynamo.optimize`).
UNUSED = {"TORCHDYNAMO_DISABLE": "1"}


def surroundings(device: Device) -> dict[str, str]:
    """What the environment of a process that computes on this device needs to leave the compiler out."""
    return UNUSED if device == "cpu" else {}
