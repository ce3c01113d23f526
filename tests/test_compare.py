"""Several runs over each other: what differs in their recipes, how their curves are drawn, what a follower is called."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from benchmarks.synthetic_jobs import make_job
from core.jobs.about import About, write_about
from core.recipe import Recipe, parse
from studio.new_run import continued, continued_name
from studio.overlay_chart import LABEL_PX, finding, overlay_figure
from studio.recipe_diff import differing, settings, titles, written
from studio.run_line import RunLine, line_of


@pytest.fixture(autouse=True)
def small_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))


def line(label: str, losses: list[float], held_out: list[float] = ()) -> RunLine:
    x, held_out_x = np.arange(1.0, len(losses) + 1), np.arange(1.0, len(held_out) + 1)
    return RunLine(label, x, np.array(losses), held_out_x, np.array(held_out, dtype=float))


def _is_sections(value) -> bool:
    return isinstance(value, list) and any(isinstance(item, BaseModel) for item in value)


def leaves(part: BaseModel) -> int:
    """How many settings a recipe has, lists of data sets counted one by one."""
    values = [getattr(part, name) for name in type(part).model_fields]
    inner = [item for value in values for item in (value if _is_sections(value) else [value])]
    return sum(leaves(value) if isinstance(value, BaseModel) else 1 for value in inner)


def test_no_two_settings_share_a_title() -> None:
    two = parse({"data": {"sources": [{"source": "starter"}, {"source": "starter"}]}})
    for recipe in (Recipe(), two):
        assert len(settings(recipe)) == leaves(recipe) - 1  # the name is the column's title


def test_a_data_set_that_only_one_recipe_has_is_a_difference() -> None:
    one = settings(parse({"data": {"sources": [{"source": "a/b"}]}}))
    two = settings(parse({"data": {"sources": [{"source": "a/b"}, {"source": "c/d", "limit": 50}]}}))
    assert {"Data 2", "Data 2: row limit"} <= set(differing([one, two]))
    assert "Data" not in differing([one, two])
    assert titles([one, two]).index("Data 2") > titles([one, two]).index("Data")


def test_recipes_that_differ_in_their_name_only_are_the_same() -> None:
    assert differing([settings(parse({"name": "a"})), settings(parse({"name": "b"}))]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2e-4, "2e-4"),
        (2.0000001e-4, "2.0000001e-4"),
        (0.05, "0.05"),
        (0.0, "0"),
        (True, "on"),
        (None, "—"),
        ({}, "—"),
        ({"output": "answer"}, "output=answer"),
        (16, "16"),
        ("x" * 80, "x" * 60 + "…"),
    ],
)
def test_a_value_is_written_so_that_no_difference_is_lost(value: Any, text: str) -> None:
    assert written(value) == text


@pytest.mark.parametrize(
    ("name", "follower"),
    [
        ("my-run", "my-run continued"),
        ("my-run continued", "my-run continued 2"),
        ("my-run continued 9", "my-run continued 10"),
        ("Héloïse <b>", "Hlose b continued"),
        ("日本", "run continued"),
        ("x" * 60, "x" * 50 + " continued"),
        ("..hidden", "hidden continued"),
    ],
)
def test_a_follower_has_a_name_that_a_recipe_may_have(name: str, follower: str) -> None:
    assert continued_name(name) == follower
    assert parse({"name": follower}).name == follower


def test_a_follower_has_the_recipe_of_its_parent_and_begins_with_its_adapter() -> None:
    job = make_job(1, "only", steps=20, lora={"rank": 48, "alpha": 96})
    write_about(job.files.about, About("Renamed"))
    found = continued(job, 20)
    assert (found.name, found.model.start_from, found.lora.rank) == ("Renamed continued", f"{job.id}@20", 48)


def test_runs_can_be_laid_over_each_other_by_steps_epochs_and_time() -> None:
    job = make_job(1, "only", steps=100)
    ends = {over: line_of(job, "only", over, "Both").x[-1] for over in ("Steps", "Epochs", "Time")}
    assert ends == {"Steps": 100, "Epochs": 1, "Time": pytest.approx(110)}
    held_out = line_of(job, "only", "Time", "Both").held_out_x
    assert held_out[-1] == pytest.approx(110)
    assert not len(line_of(job, "only", "Steps", "Train").held_out)
    assert not len(line_of(job, "only", "Steps", "Held-out").losses)


def test_a_run_that_never_said_its_epoch_is_left_out_of_that_axis_and_breaks_nothing() -> None:
    job = make_job(1, "only", steps=10)
    job.files.metrics.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    drawn = line_of(job, "only", "Epochs", "Both")
    assert np.isnan(drawn.x).all()
    assert overlay_figure([drawn], "Epochs")["layout"]["xaxis"]["range"][1] > 0


def test_each_run_has_a_colour_and_a_marker_of_its_own() -> None:
    lines = [line(f"run {n}", [2.0, 1.0], [2.1, 1.1]) for n in range(6)]
    traces = overlay_figure(lines)["data"]
    assert len({trace["line"]["color"] for trace in traces}) == 6
    assert len({trace["marker"]["symbol"] for trace in traces if "marker" in trace}) == 6
    assert [trace["name"] for trace in traces if trace.get("showlegend", True)] == [f"run {n}" for n in range(6)]


def test_where_only_held_out_losses_are_drawn_they_are_in_the_legend() -> None:
    (trace,) = overlay_figure([line("only", [], [2.0, 1.0])])["data"]
    assert trace["showlegend"]


def test_labels_at_the_line_ends_do_not_touch_and_stay_inside() -> None:
    layout = overlay_figure([line(f"run {n}", [2.0, 1.0 + n / 1000]) for n in range(6)], height=340)["layout"]
    low, high = layout["yaxis"]["range"]
    plot_px = 340 - layout["margin"]["t"] - layout["margin"]["b"]
    places = sorted((label["y"] - low) / (high - low) * plot_px for label in layout["annotations"])
    assert min(later - sooner for sooner, later in pairwise(places)) >= LABEL_PX - 1e-6
    assert places[0] >= 0 and places[-1] <= plot_px


def test_a_name_with_markup_is_text_in_the_legend() -> None:
    (trace,) = overlay_figure([line("<b>bold</b>", [2.0, 1.0])])["data"]
    assert trace["name"] == "&lt;b&gt;bold&lt;/b&gt;"


@pytest.mark.parametrize("losses", [[], [math.nan], [math.inf, math.nan], [1.0]])
def test_runs_without_a_finite_curve_can_be_drawn(losses: list[float]) -> None:
    figure = overlay_figure([line("odd", losses), line("fine", [2.0, 1.0])])
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 1.0 < 2.0 < high


def test_the_figure_is_said_in_a_sentence() -> None:
    assert finding([line("a", [2.0, 1.5], [1.8]), line("b", [])]) == "Newest loss: a 1.800"
    assert finding([line("b", [])]) == "No losses yet"
