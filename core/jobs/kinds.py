"""What kinds of job there are: the module whose `run(worker)` does it, imported only inside the worker."""

KINDS = {
    "prepare": "core.data.prepare",
    "train": "core.training.run",
    "probe": "core.training.probe",
    "evaluate": "core.evaluation.run",
    "restore": "core.hub.restore",
    "export": "core.export.run",
    "publish": "core.hub.publish",
    "space": "core.hub.space",
}
# Those that hold a model on the device, so that only one at a time may. Merging for an export or a publication needs the
# RAM alone, for a minute, and looks first whether it is free.
HEAVY = ("train", "probe", "evaluate")
# Those that load no model and read no data, so that neither can be missing.
WITHOUT_MODEL = ("restore", "space")
