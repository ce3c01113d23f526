"""What kinds of job there are: the module whose `run(worker)` does it, imported only inside the worker."""

KINDS = {
    "prepare": "core.data.prepare",
    "train": "core.training.run",
    "probe": "core.training.probe",
    "evaluate": "core.evaluation.run",
    "space": "core.hub.space",
}
# Those that hold a model on the device, so that only one at a time may.
HEAVY = ("train", "probe", "evaluate")
# Those that load no model and read no data, so that neither can be missing.
ERRANDS = ("space",)
