"""The plan on the LoRA page, in a process that cannot import torch: it moves, says where it comes from, and can be measured."""

import json
import subprocess
import sys

import pytest

from core import home, said_plan
from core.files import append_line, write_whole
from core.hardware import Machine, machine
from core.jobs import launcher
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.jobs.worker import Worker
from core.plan import measured
from core.plan.fixes import changed
from core.plan.forecast import forecast
from core.plan.measured import Measurement
from core.plan.memory_plan import PARTS
from core.plan.workload import Batch
from core.recipe import Recipe
from core.training.probe_recipe import probe_recipe
from studio.memory_bar import memory_figure
from tests.test_pages_prepare import GIB, click, edit, never_started, on_disk, opened, studio_home, text_of
from tests.toy_prepared import make_prepared

__all__ = ["never_started", "studio_home"]  # fixtures

DISK = (100 * GIB, 50 * GIB)


def peak_in(app) -> str:
    """The line that names the peak."""
    return next(element.value for element in app.markdown if "at the peak" in element.value)


@pytest.fixture
def laptop(monkeypatch):
    """A machine of 16 GiB, most of it free."""
    here = Machine(2, 16 * GIB, 15 * GIB, *DISK)
    monkeypatch.setattr("core.hardware.machine", lambda folder: here)
    return here


def remember(recipe: Recipe, peak_bytes: int, step_s: float, source="probe") -> None:
    """What a probe of a recipe would have written; on batches as full as the plan assumes."""
    here, full = machine(home.home()), recipe.training.batch * recipe.data.max_length
    batch = Batch(full, full / 2, recipe.data.max_length)
    row = Measurement(source, "a job", 1.0, here.device_name, "fp32", recipe, batch, batch, peak_bytes, step_s)
    measured.keep(row)


def test_memory_and_time_move_with_rank_length_batch_and_method(laptop):
    app = opened("lora")
    before = peak_in(app)
    assert before.startswith("about **")
    app.number_input(key="field:lora:data.max_length").set_value(256).run()
    shorter = peak_in(app)
    app.select_slider(key="field:lora.rank").set_value(256).run()
    larger = peak_in(app)
    app.selectbox(key="field:lora.method").select("qlora").run()
    assert len({before, shorter, larger, peak_in(app)}) == 4
    assert "Weights, 4 bits" in text_of(app) and "Activations" in text_of(app) and not app.exception


def test_the_bar_holds_every_part_up_to_the_peak(laptop):
    found = forecast(Recipe(), laptop)
    figure = memory_figure(found.memory, found.room_bytes)
    assert sum(part["x"][0] for part in figure["data"]) == found.memory.peak_bytes
    assert figure["layout"]["xaxis"]["range"] == [0, max(found.room_bytes, found.memory.peak_bytes)]
    assert {part for part in PARTS if getattr(found.memory, part)} >= {"weights", "activations", "overhead"}


def test_what_cannot_fit_cannot_start_until_the_fix_is_taken(laptop):
    before = edit({"model.source": "meta-llama/Llama-3.2-1B", "lora.method": "full"})
    app = opened("lora")
    assert "Needs" in text_of(app) and app.button(key="start").disabled
    assert app.button(key="fix").label.endswith("fits")
    click(app, "fix")
    assert on_disk() != before and not app.button(key="start").disabled
    assert "Needs" not in text_of(app)


def test_rows_that_were_not_counted_may_be_shorter_so_it_may_start(laptop):
    edit({"training.batch": 64})
    app = opened("lora")
    assert "May need" in text_of(app) and not app.button(key="start").disabled
    assert app.button(key="fix").label.startswith("Batch ")
    assert "for a full batch, as the data is not counted yet" in text_of(app)
    make_prepared(on_disk())
    app = opened("lora")
    assert "May need" not in text_of(app) and "not counted yet" not in text_of(app)


def test_a_model_too_large_in_every_way_says_so(monkeypatch):
    monkeypatch.setattr("core.hardware.machine", lambda folder: Machine(2, 2 * GIB, GIB, *DISK))
    edit({"model.source": "meta-llama/Llama-3.1-8B"})
    app = opened("lora")
    assert app.button(key="start").disabled and "choose a smaller model" in text_of(app)


def test_a_model_of_unknown_shape_is_to_be_measured(laptop):
    edit({"model.source": "someone/unknown"})
    app = opened("lora")
    assert "Size unknown" in text_of(app) and "A probe fetches and measures it" in text_of(app)
    assert not app.button(key="start").disabled and not app.exception
    remember(changed(on_disk(), {"training.activation_checkpointing": "off"}), 2_345_000_000, 1.0)
    assert "**2.3 GB** at the peak" in text_of(opened("lora"))
    edit({"training.batch": 1})
    assert "Size unknown" in text_of(opened("lora"))


def test_measure_starts_a_probe_that_shows_its_progress_and_can_be_stopped(never_started):
    app = click(opened("lora"), "probe")
    (job,) = all_jobs("probe")
    assert job.recipe == probe_recipe(Recipe()) and not app.exception
    assert app.button(key="probe:stop").label == "Stop measuring"
    assert app.title[0].value == "LoRA" and all_jobs("train") == []


def test_a_probe_never_measures_beside_a_training(never_started):
    launcher.start(Recipe())
    app = opened("lora")
    assert app.button(key="probe").disabled and "has to wait for the training" in text_of(app)


def test_a_probe_that_failed_says_why(never_started):
    job = launcher.start(probe_recipe(Recipe()), "probe")
    Worker(job).finish("failed", "The memory is too small even for one conversation.")
    app = opened("lora")
    assert "too small even for one" in app.error[0].value
    edit({"lora.rank": 8})
    assert not opened("lora").error  # it was another recipe's


def test_a_figure_says_by_what_it_was_measured():
    recipe = edit({"training.batch": 1, "training.accumulation": 1, "data.max_length": 256})
    remember(changed(recipe, {"training.activation_checkpointing": "off"}), 3_210_000_000, 7.0)
    app = opened("lora")
    assert "**3.2 GB** at the peak" in text_of(app) and "Measured by a probe" in text_of(app)
    edit({"lora.rank": 64})
    app = opened("lora")
    assert "Computed, corrected by a probe" in text_of(app) and "about **" in text_of(app)
    edit({"lora.method": "qlora"})  # a measurement of another kind of weights says nothing
    assert "Computed, for a full batch" in text_of(opened("lora"))


def test_a_run_counts_as_a_measurement():
    recipe = edit({"training.batch": 1, "data.max_length": 256})
    remember(changed(recipe, {"training.activation_checkpointing": "off"}), 2_000_000_000, 7.0, "run")
    assert "Measured by a run" in text_of(opened("lora"))


def test_what_a_training_holds_will_be_free(never_started, laptop):
    before = forecast(Recipe(), laptop).room_bytes
    job = launcher.start(Recipe())
    append_line(job.files.metrics, {"step": 1, "loss": 1.0, "memory_bytes": 10**9})
    assert job.status is Status.STARTING
    assert forecast(Recipe(), laptop).room_bytes == min(laptop.memory_bytes, before + 10**9)


def test_measurements_of_a_broken_file_change_nothing(laptop):
    write_whole(home.measured_file(), json.dumps({"device": "CPU, 2 cores", "recipe": None}) + "\n{")
    assert "Computed" in text_of(opened("lora"))


def test_the_command_line_says_the_same_plan(laptop, monkeypatch):
    monkeypatch.setattr("core.said_plan.machine", lambda folder: laptop)
    recipe = edit({"training.batch": 64, "data.sources": [{"source": "mlabonne/FineTome-100k"}]})
    said, found = said_plan.figures(recipe), forecast(recipe, laptop)
    assert said["memory_bytes"] == sum(said["memory_parts"].values()) == found.memory.peak_bytes
    assert said["fit"] == "too big" and said["fix"]["training.batch"] < 64
    assert json.loads(json.dumps(said)) == said
    page = said_plan.page(said)
    assert "too big (computed, about)" in page and "Fits with     training.batch=" in page and "not known yet" in page


def test_the_command_line_prints_a_plan(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("training: {batch: 2}\n")
    printed = subprocess.run(
        [sys.executable, "-m", "core", "plan", str(file), "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(printed.stdout)["trainable"] == 4_884_480


def test_layers_that_are_left_out_move_the_plan_and_are_said_where_the_model_is_named(laptop):
    app = opened("lora")
    before = peak_in(app)
    assert any(box.label.startswith("Smaller model") and "all 30 layers" in box.label for box in app.expander)
    app.number_input(key="field:model.drop_layers").set_value(6).run()
    assert peak_in(app) != before and "without 6 layers" in text_of(app)
    assert any("24 of 30 layers · 113.3M of 134.5M parameters" in box.label for box in app.expander)
    app.number_input(key="field:model.drop_layers").set_value(29).run()
    assert on_disk().model.drop_layers == 6 and not app.exception
    edit({"model.source": "someone/unknown"})
    assert any("6 layers left out" in box.label for box in opened("lora").expander)
