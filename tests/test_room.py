"""What a model needs of the memory, beside a training too: said in a sentence, and refused before it is loaded."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.synthetic_jobs import make_job
from core import home
from core.errors import EngineError
from core.hardware import machine
from core.inference import room
from core.jobs import process

GB = 1_000_000_000


def make_weights(folder: Path, **shapes: list[int]) -> Path:
    """A file of weights as large as its header says, with no bytes in it: a hole takes no disk."""
    folder.mkdir()
    tensors = {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    header = json.dumps(tensors | {"__metadata__": {"format": "pt"}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return folder


@pytest.fixture
def eight_free(monkeypatch) -> None:
    """A machine without GPU, with 16 GB and 8 of them free."""
    here = replace(machine(home.home()), ram_bytes=16 * GB, ram_free_bytes=8 * GB, gpus=())
    monkeypatch.setattr(room, "machine", lambda folder: here)


@pytest.fixture
def training() -> Iterator[None]:
    """A run whose process lives; it has reported up to 3.3 GB."""
    job = make_job(0, "night run", "running", steps=100, reported=50)
    worker = subprocess.Popen(["sleep", "600"], start_new_session=True)
    process.write(job.files.process, process.born(worker.pid))
    yield
    worker.kill()
    worker.wait()


@pytest.mark.parametrize(("bits", "size"), [(16, 2 * 1400), (8, 1000 + 2 * 400), (4, 500 + 2 * 400)])
def test_only_linear_layers_shrink_in_few_bits(tmp_path, bits, size):
    shapes = {"layers.0.q_proj.weight": [20, 50], "embed_tokens.weight": [30, 10], "norm.weight": [100]}
    assert room.weights_bytes(make_weights(tmp_path / "toy", **shapes), bits) == size


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 100, (9).to_bytes(8, "little") + b"[1, 2, 3]"])
def test_broken_weights_are_left_to_whoever_loads_them(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    assert room.weights_bytes(tmp_path, 16) == 0


def test_a_model_that_does_not_fit_is_refused_with_both_figures(tmp_path, eight_free):
    folder = make_weights(tmp_path / "huge", **{"q_proj.weight": [100_000, 100_000]})
    with pytest.raises(EngineError, match=r"needs 20\.3 GB of memory, and 8\.0 GB are free\. Choose a smaller"):
        room.check(folder, 16)
    room.check(folder, 4)


def test_beside_a_training_what_it_may_still_take_is_left_to_it(tmp_path, eight_free, training):
    folder = make_weights(tmp_path / "large", **{"q_proj.weight": [61_000, 61_000]})
    found = room.room_for(folder, 16)
    assert (found.training, found.enough) == ("night run", False)
    assert found.needed < found.free < found.needed + found.reserved
    with pytest.raises(EngineError, match=r"night run is training and may take 0\.3 GB more of it\. Wait"):
        room.check(folder, 16)


def test_what_fits_beside_a_training_says_what_it_costs(eight_free, training):
    found = room.room_for_source("starter")
    assert found.enough and found.sentence.endswith("the training slows down while you chat.")


def test_before_its_first_report_a_training_is_expected_to_need_its_model_and_more(eight_free):
    job = make_job(0, "new", "running", steps=100, reported=0)
    process.write(job.files.process, process.born(os.getpid()))
    found = room.room_for_source("starter")
    assert found.training == "new" and found.reserved > GB


def test_a_model_of_unknown_size_has_no_figure():
    assert room.room_for_source("somebody/something") is None
