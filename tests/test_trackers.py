"""Trackers: each is optional, what is missing is said before anything starts, and TensorBoard gets the run's own numbers."""

import netrc

import pytest
import torch

from core.errors import StudioError
from core.jobs import preflight
from core.recipe import parse
from core.training import trackers
from tests.toy_model import make_toy_model
from tests.toy_pairs import write_pairs
from tests.toy_training import new_folder, toy_recipe, train


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No account of the person who runs the tests, and nothing left behind for the next training."""
    for name in ("TENSORBOARD_LOGGING_DIR", "WANDB_DIR", "WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_RESUME"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(netrc.netrc, "authenticators", lambda self, host: None)


def asking(*names: str):
    return parse({"training": {"trackers": list(names)}})


def test_a_tracker_that_is_not_installed_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(StudioError) as caught:
        preflight.check(asking("trackio", "wandb"))
    assert "Trackio is not installed. Install it with `pip install trackio`" in str(caught.value)
    assert "Weights & Biases is not installed. Install it with `pip install wandb`" in str(caught.value)


def test_weights_and_biases_asks_for_a_sign_in_before_the_start(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    assert "run `wandb login` in a terminal" in trackers.problems(asking("wandb"))[0]
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert trackers.problems(asking("wandb")) == []
    assert trackers.problems(parse({})) == []


@pytest.mark.process
def test_tensorboard_gets_the_numbers_of_the_run(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    job = train(
        new_folder(toy_recipe(make_toy_model(tmp_path / "toy"), training={"max_steps": 4, "trackers": ["tensorboard"]}))
    )
    torch.set_num_threads(threads)
    shown = EventAccumulator(str(job.files.tensorboard)).Reload()
    losses = [point.value for point in shown.Scalars("train/loss")]
    assert losses == pytest.approx(list(job.metrics["loss"]), rel=1e-4)
    assert shown.Scalars("eval/loss")[-1].value == pytest.approx(job.metrics.last_held_out_loss, rel=1e-4)


@pytest.mark.process
def test_of_pairs_it_gets_what_is_preferred_under_trls_name(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    data = {"sources": [{"source": str(write_pairs(tmp_path))}], "max_length": 64}
    settings = {"objective": "dpo", "max_steps": 3, "accumulation": 1, "trackers": ["tensorboard"]}
    job = train(new_folder(toy_recipe(make_toy_model(tmp_path / "toy"), data=data, training=settings)))
    shown = EventAccumulator(str(job.files.tensorboard)).Reload()
    assert [point.value for point in shown.Scalars("train/rewards/accuracies")] == list(job.metrics["preferred"])
