"""The figures show what the metrics say, and stay the same as long as nothing new is reported."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.synthetic_jobs import make_job
from core.files import append_line
from core.jobs.folder import Job
from studio import charts
from studio.job_table import sparkline
from studio.loss_chart import LossCurve, curve_of, finding, loss_figure, small_loss_figure
from studio.mini_charts import BUCKETS, MINIS, mini_figure


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
    assert job.best_step == min(kept, key=lambda step: measured[step])
    figure = loss_figure(curve_of(job))
    assert trace(figure, "best checkpoint")["x"] == [job.best_step]
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


def test_the_smoothed_line_of_a_loss_that_falls_to_nothing_does_not_fall_below() -> None:
    losses = [*np.linspace(2, 0, 10), *[0.0] * 30]
    smoothed = LossCurve(steps=list(range(1, 41)), losses=losses).smoothed
    assert smoothed.min() == 0
    assert smoothed[0] == 2


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


@pytest.fixture
def long_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """5,000 reports, one of them a spike, and 1,300 held-out losses, the best and the worst among neighbours."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    job = make_job(2, steps=1)
    rows = [
        {"step": step, "loss": 40.0 if step == 3333 else 2 - step / 5000, "learning_rate": 1e-4, "grad_norm": step}
        for step in range(1, 5001)
    ]
    measured = {2001: 0.25, 2004: 9.5}
    rows += [{"step": step, "held_out_loss": measured.get(step, 1.5)} for step in range(1101, 5001, 3)]
    job.files.metrics.write_text("".join(f"{json.dumps(row)}\n" for row in sorted(rows, key=lambda row: row["step"])))
    return job


@pytest.mark.parametrize("until", [None, 4999])
def test_a_long_run_is_thinned_but_no_spike_is_hidden(long_job: Job, until: int | None) -> None:
    figure = loss_figure(curve_of(long_job, until=until))
    raw, smoothed, held_out = (trace(figure, name) for name in ("train, raw", "train, smoothed", "held-out"))
    assert list(raw["x"][raw["y"] == 40.0]) == [3333]
    assert (raw["x"][0], raw["x"][-1]) == (smoothed["x"][0], smoothed["x"][-1]) == (1, until or 5000)
    assert len(raw["x"]) <= 2002
    assert len(smoothed["x"]) == len(smoothed["y"]) <= 1000
    assert {2001: 0.25, 2004: 9.5}.items() <= dict(zip(held_out["x"], held_out["y"], strict=True)).items()
    assert len(held_out["x"]) <= 502
    assert all(np.diff(raw["x"]) > 0)


def test_the_smoothed_line_of_a_long_run_follows_its_losses(long_job: Job) -> None:
    curve = curve_of(long_job)
    steps = np.array(curve.smoothed_steps)
    undisturbed = steps < 3300
    assert curve.smoothed[undisturbed] == pytest.approx(2 - steps[undisturbed] / 5000, abs=0.02)


def test_a_short_range_of_a_long_run_shows_each_of_its_points(long_job: Job) -> None:
    curve = curve_of(long_job, last=200, until=2100)
    assert list(curve.steps) == list(range(1901, 2101))
    assert list(curve.held_out_steps) == list(range(1902, 2101, 3))
    assert len(curve.smoothed) == len(curve.losses) == 200
    assert len(curve.before) == 400


def test_a_held_curve_of_a_long_run_stands_still_while_the_run_doubles(long_job: Job) -> None:
    before = curve_of(long_job, until=4000)
    with long_job.files.metrics.open("a") as file:
        file.writelines(
            f'{{"step": {step}, "loss": 0.5}}\n{{"step": {step}, "held_out_loss": 3}}\n' for step in range(5001, 9001)
        )
    after = curve_of(long_job, until=4000)
    for name in ("steps", "losses", "smoothed_steps", "smoothed", "held_out_steps", "held_out_losses"):
        np.testing.assert_equal(getattr(before, name), getattr(after, name))
    assert curve_of(long_job).steps[-1] == 9000


def test_small_charts_show_the_first_point_the_newest_and_the_highest(long_job: Job) -> None:
    append_line(long_job.files.metrics, {"step": 5001, "loss": 1.0, "grad_norm": 1.0, "learning_rate": 1e-4})
    for mini in MINIS:
        drawn = long_job.metrics.thinned(mini.column, buckets=BUCKETS)
        line = mini_figure(mini, drawn.steps, drawn.values)["data"][0]
        assert (line["x"][0], line["x"][-1]) == (1, 5001)
        assert len(line["x"]) <= 2 * BUCKETS + 2
        assert mini.column != "grad_norm" or max(line["y"]) == 5000


def test_a_sparkline_has_forty_points_at_most_and_only_numbers() -> None:
    assert len(sparkline(list(range(2000)))) == 40
    assert sparkline([1.0, math.nan, 3.0]) == [1.0, 3.0]
    assert sparkline([]) == []
