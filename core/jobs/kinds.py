"""What kinds of job there are: the module whose `run(worker)` does it, imported only inside the worker."""

KINDS = {
    "prepare": "core.data.prepare",
    "train": "core.training.run",
    "probe": "core.training.probe",
}
# Those that wait for their turn on a device.
ON_A_DEVICE = ("train", "probe")
