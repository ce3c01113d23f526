"""What one attempt at a training needs to know: job, device, data, where it begins, how its steps are cut."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from trl import pack_dataset

from core import home
from core.data.report import source_names
from core.files import read_json
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.plan.plan import total_steps
from core.recipe import Recipe
from core.training.device import Device
from core.training.micro_batch import MicroBatch
from core.training.resume import Point

LIBRARIES = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "tokenizers")


@dataclass(frozen=True)
class Session:
    """One attempt; after running out of memory the next attempt is another session."""

    worker: Worker
    device: Device
    files: home.PreparedFiles
    train: Dataset
    held_out: Dataset | None
    model_fingerprint: str
    point: Point
    micro: MicroBatch
    stop_asked: Callable[[], bool]

    @property
    def job(self) -> Job:
        return self.worker.job

    @cached_property
    def source_names(self) -> list[str]:
        """What the data sets are called, in the recipe's order."""
        return source_names(read_json(self.files.report) or {})

    @cached_property
    def special_ids(self) -> set[int]:
        """Ids of the tokenizer's special tokens."""
        return set((read_json(self.files.report) or {}).get("special_ids", ()))

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return total_steps(self.job.recipe, len(self.train)) or 1

    def made(self) -> dict[str, Any]:
        """What a checkpoint is made with and on, as it stands in its manifest."""
        machine = {
            "device": self.device.name,
            "precision": self.device.precision,
            "threads": torch.get_num_threads(),
            "processes": self.job.recipe.launcher.processes,
            "batch": self.micro.batch,
        }
        data = self.files.folder.name
        return {"data": data, "model": self.model_fingerprint, "machine": machine, "versions": versions()}


@cache
def versions() -> dict[str, str]:
    """The libraries that shape the numbers."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def rows_of(files: home.PreparedFiles, recipe: Recipe) -> tuple[Dataset, Dataset | None]:
    """The training rows, packed where the recipe says so, and the held-out rows of a prepared set, with the number of their source.

    Those of pairs say in `second` at which token the rejected conversation begins.
    """
    encoded = [home.encoded_files(source["key"]).rows for source in (read_json(files.report) or {})["sources"]]
    of_each = [Dataset.from_file(str(path)) for path in encoded]
    sizes = [len(rows) for rows in of_each]
    columns = ["input_ids", "labels", *(["second"] if recipe.objective.pairs else [])]
    # Sets that were made before there were pairs have fewer columns.
    rows = concatenate_datasets([rows.select_columns(columns) for rows in of_each])
    train, held_out = rows.select(np.load(files.train)), np.load(files.held_out)
    if recipe.data.packs:
        train = pack_dataset(train, recipe.data.max_length, "bfd")
    if not len(held_out):
        return train, None
    source = np.repeat(np.arange(len(encoded)), sizes)[held_out]
    return train, rows.select(held_out).add_column("source", source.tolist())
