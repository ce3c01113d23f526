"""The figures show what the metrics say, and stay the same as long as nothing new is reported."""

import math
from pathlib import Path

import pytest

from benchmarks.synthetic_jobs import make_job
from core.files import append_line
from core.jobs.folder import Job
from studio import charts
from studio.job_table import sparkline
from studio.loss_chart import LossCurve, curve_of, finding, loss_figure, small_loss_figure
from studio.mini_charts import MINIS, mini_figure, thinned
from studio.run_facts import best_step


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    return make_job(1, steps=400, checkpoints={"every_steps": 40})


def trace(figure: dict, name: str) -> dict:
    return next(trace for trace in figure["data"] if trace["name"] == name)


def test_the_figure_is_the_same_until_a_step_is_reported(job: Job) -> None:
    before, again = str(loss_figure(curve_of(job))), str(loss_figure(curve_of(job)))
    append_line(job.files.metrics, {"step": 401, "loss": 0.5})
    assert before == again
    assert before != str(loss_figure(curve_of(job)))


def test_a_curve_held_still_ignores_what_comes_after(job: Job) -> None:
    before = str(loss_figure(curve_of(job, until=300)))
    append_line(job.files.metrics, {"step": 401, "loss": 0.5})
    assert str(loss_figure(curve_of(job, until=300))) == before


def test_the_best_checkpoint_is_the_one_with_the_lowest_held_out_loss(job: Job) -> None:
    measured = dict(zip(job.metrics.held_out_step, job.metrics.held_out_loss, strict=True))
    kept = [checkpoint.step for checkpoint in job.checkpoints]
    assert best_step(job) == min(kept, key=lambda step: measured[step])
    figure = loss_figure(curve_of(job))
    assert trace(figure, "best checkpoint")["x"] == [best_step(job)]
    assert len(trace(figure, "checkpoint")["x"]) == len(kept) - 1


def test_the_last_fifty_reports_bring_only_their_held_out_points(job: Job) -> None:
    curve = curve_of(job, last=50)
    assert (curve.steps[0], curve.steps[-1], len(curve.steps)) == (351, 400, 50)
    assert list(curve.held_out_steps) == [360, 400]
    assert list(curve.smoothed) == pytest.approx(list(curve_of(job).smoothed[-50:]))  # not smoothed anew


def test_a_loss_that_was_not_a_number_leaves_a_gap_and_breaks_nothing() -> None:
    curve = LossCurve(steps=[1, 2, 3], losses=[2.0, math.nan, 1.0])
    figure = loss_figure(curve)
    assert math.isnan(trace(figure, "train, raw")["y"][1])
    assert math.isfinite(trace(figure, "train, smoothed")["y"][2])
    assert all(math.isfinite(end) for end in figure["layout"]["yaxis"]["range"])


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("losses", [[], [1.0], [math.nan], [0.0, 0.0], [3.0, 1e-9]])
def test_every_curve_can_be_drawn(losses: list[float], logarithmic: bool) -> None:
    curve = LossCurve(steps=list(range(1, len(losses) + 1)), losses=losses)
    low, high = loss_figure(curve, logarithmic=logarithmic)["layout"]["yaxis"]["range"]
    assert low < high
    assert small_loss_figure(curve)["data"]
    assert finding(curve)


def test_the_last_tick_carries_the_unit(job: Job) -> None:
    assert loss_figure(curve_of(job))["layout"]["xaxis"]["ticktext"][-1] == "step 400"


def test_a_short_run_has_no_ticks_between_steps() -> None:
    axis = loss_figure(LossCurve(steps=[1, 2], losses=[2.0, 1.0]))["layout"]["xaxis"]
    assert axis["tickvals"] == [0, 1, 2]
    assert axis["range"][0] < 0 < 2 < axis["range"][1]


def test_labels_at_the_line_ends_move_apart_where_they_would_touch() -> None:
    curve = LossCurve([1, 2], [3.0, 1.0], held_out_steps=[2], held_out_losses=[2.6])
    near = LossCurve([1, 2], [2.0, 2.0], held_out_steps=[1, 2], held_out_losses=[9.0, 2.01])
    assert [label["yshift"] for label in loss_figure(curve)["layout"]["annotations"]] == [0, 0]
    assert [label["yshift"] for label in loss_figure(near)["layout"]["annotations"]] == [9, -9]


@pytest.mark.parametrize(
    ("low", "high", "wanted", "ticks"),
    [
        (0, 412, 5, [0, 100, 200, 300, 400]),
        (0, 1, 2, [0, 0.5, 1]),
        (351, 400, 5, [360, 370, 380, 390, 400]),
        (3, 3, 5, [3]),
    ],
)
def test_ticks_are_round(low: float, high: float, wanted: int, ticks: list[float]) -> None:
    assert charts.nice_ticks(low, high, wanted) == ticks


def test_small_charts_are_thinned_and_keep_the_newest_point(job: Job) -> None:
    steps, values = thinned(range(1, 2002), range(2001))
    assert len(steps) <= 401
    assert (steps[-1], values[-1]) == (2001, 2000)
    assert all(mini_figure(mini, job.metrics["step"], job.metrics[mini.column])["data"] for mini in MINIS)


def test_a_sparkline_has_forty_points_at_most_and_only_numbers() -> None:
    assert len(sparkline(list(range(2000)))) == 40
    assert sparkline([1.0, math.nan, 3.0]) == [1.0, 3.0]
    assert sparkline([]) == []
