"""The numbers of a run, read as they are written: what is void, what is broken, and what is drawn of very many."""

import json
import math
import sys
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest

from core.jobs.metrics import COLUMNS, Metrics, metrics_of
from core.jobs.tail import events_of, latest_of, lines_of
from core.jobs.thinning import BUCKETS, Buckets

NAN = math.nan


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(path: Path, *rows: object) -> None:
    with path.open("a") as file:
        file.writelines((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def train(*steps: int) -> list[dict]:
    return [{"step": step, "loss": 10.0 - step} for step in steps]


def held_out(**losses: float | None) -> list[dict]:
    return [{"step": int(step[1:]), "held_out_loss": loss} for step, loss in losses.items()]


def resumed(step: object) -> dict:
    return {"resumed_from": step}


RESUMES = {
    "from a checkpoint": ([*train(1, 2, 3, 4), resumed(2), *train(3, 4, 5)], [1, 2, 3, 4, 5], {}),
    "with nothing after it": ([*train(1, 2, 3), resumed(1)], [1], {}),
    "with nothing to drop": ([*train(1, 2), resumed(2), *train(3)], [1, 2, 3], {}),
    "before any report": ([resumed(4), *train(5)], [5], {}),
    "twice, further back": ([*train(1, 2, 3), resumed(2), *train(3), resumed(1), *train(2)], [1, 2], {}),
    "with measures": (
        [*held_out(s0=3.0), *train(1, 2), *held_out(s2=1.0), *train(3), resumed(1), *train(2), *held_out(s2=2.0)],
        [1, 2],
        {0: 3.0, 2: 2.0},
    ),
    "a measure at its own step stays": ([*train(1, 2), *held_out(s2=1.5), resumed(2), *train(3)], [1, 2, 3], {2: 1.5}),
    "from the start": ([*held_out(s0=3.0), *train(1, 2), resumed(0), *held_out(s0=2.5), *train(1)], [1], {0: 2.5}),
    "from the start, unmeasured": ([*held_out(s0=3.0), *train(1), resumed(0)], [], {}),
    "from no step": ([*train(1, 2), resumed("x"), resumed(None), resumed(True), *train(3)], [1, 2, 3], {}),
}


@pytest.mark.parametrize("at_once", [1, 2, 100])
@pytest.mark.parametrize(("rows", "steps", "measured"), RESUMES.values(), ids=RESUMES)
def test_the_curve_of_a_resumed_run_never_doubles_back(
    path: Path, rows: list, steps: list[int], measured: dict, at_once: int
) -> None:
    metrics = Metrics(path)
    for start in range(0, len(rows), at_once):
        write(path, *rows[start : start + at_once])
        metrics.refresh().thinned("loss")  # drawn in between, so a part of it is known when it turns out to be void
        metrics.last("loss")
    assert list(metrics["step"]) == steps
    assert list(metrics["loss"]) == [10.0 - step for step in steps]
    assert list(metrics.thinned("loss").steps) == steps
    assert metrics.last("loss") == (10.0 - steps[-1] if steps else None)
    assert metrics.held_out_at == dict(zip(metrics.held_out_step, metrics.held_out_loss, strict=True)) == measured
    assert metrics.best_held_out_loss == min(measured.values(), default=None)


def test_what_is_void_is_not_drawn_of_a_long_run_either(path: Path) -> None:
    metrics = Metrics(path)
    write(path, *({"step": step, "loss": 9.0 if step == 3000 else 1.0} for step in range(1, 4001)))
    assert max(metrics.refresh().thinned("loss").values) == 9.0
    write(path, resumed(2500), *({"step": step, "loss": 2.0} for step in range(2501, 2601)))
    drawn = metrics.refresh().thinned("loss")
    assert (max(drawn.values), drawn.steps[-1]) == (2.0, 2600)
    assert all(np.diff(drawn.steps) > 0)
    assert drawn.means[-1] == 2.0


def test_the_best_held_out_loss_is_found_again_when_it_turns_out_to_be_void(path: Path) -> None:
    metrics = Metrics(path)
    write(path, *held_out(s10=2.0, s20=1.0, s30=None))
    assert (metrics.refresh().best_held_out_loss, metrics.last_held_out_loss) == (1.0, 1.0)
    assert metrics.held_out_at == {10: 2.0, 20: 1.0}
    write(path, resumed(10))
    assert (metrics.refresh().best_held_out_loss, metrics.last_held_out_loss) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("row", "steps", "losses"),
    [
        ({"step": "2", "loss": 1.0}, [1, 3], [5, 5]),
        ({"step": None, "loss": 1.0}, [1, 3], [5, 5]),
        ({"step": True, "loss": 1.0}, [1, 3], [5, 5]),
        ({"step": [2], "loss": 1.0}, [1, 3], [5, 5]),
        ({"loss": 1.0}, [1, 3], [5, 5]),
        ('{"step": NaN, "loss": 1.0}', [1, 3], [5, 5]),
        ('{"step": 1' + "0" * 400 + ', "loss": 1.0}', [1, 3], [5, 5]),
        ({"step": 2}, [1, 3], [5, 5]),
        ({"step": "x", "held_out_loss": 1.0}, [1, 3], [5, 5]),
        ("[1, 2]", [1, 3], [5, 5]),
        ('{"step": 2, "lo', [1, 3], [5, 5]),
        ("", [1, 3], [5, 5]),
        ({"step": 2, "loss": "low"}, [1, 2, 3], [5, NAN, 5]),
        ({"step": 2, "loss": {}}, [1, 2, 3], [5, NAN, 5]),
        ({"step": 2, "loss": True}, [1, 2, 3], [5, NAN, 5]),
        ('{"step": 2, "loss": 1e999}', [1, 2, 3], [5, NAN, 5]),
        ('{"step": 2, "loss": 1' + "0" * 400 + "}", [1, 2, 3], [5, NAN, 5]),
    ],
)
def test_a_row_edited_by_hand_spoils_no_other(path: Path, row: object, steps: list, losses: list) -> None:
    write(path, {"step": 1, "loss": 5}, row, {"step": 3, "loss": 5})
    metrics = Metrics(path).refresh()
    assert list(metrics["step"]) == steps
    np.testing.assert_equal(list(metrics["loss"]), losses)
    assert {len(metrics[name]) for name in COLUMNS} == {len(steps)}
    assert metrics.held_out_at == {}


def test_the_newest_known_value_is_remembered_through_a_stretch_without_one(path: Path) -> None:
    metrics = Metrics(path)
    assert metrics.refresh().last("loss") is None
    for row, last in [(train(1)[0], 9.0), ({"step": 2, "loss": None}, 9.0), (train(3)[0], 7.0)]:
        write(path, row)
        assert metrics.refresh().last("loss") == last


def test_a_replaced_file_is_read_from_its_start(path: Path) -> None:
    write(path, *train(1, 2, 3), *held_out(s3=1.0))
    metrics = metrics_of(path)
    aside = path.with_name("aside")
    write(aside, *train(7))
    aside.replace(path)
    assert list(metrics_of(path)["step"]) == list(metrics.thinned("loss").steps) == [7]
    assert metrics.best_held_out_loss is None


def test_columns_grow_while_somebody_holds_what_was_drawn_of_them(path: Path) -> None:
    write(path, *train(*range(1, 1501)))
    metrics = Metrics(path).refresh()
    drawn, part = metrics.thinned("loss"), metrics.thinned("loss", slice(1200))
    write(path, *train(1501))
    assert metrics.refresh().step == 1501
    assert (drawn.steps[-1], part.steps[-1]) == (1500, 1200)


def test_a_part_is_drawn_the_same_whatever_comes_after_it(path: Path) -> None:
    write(path, *train(*range(1, 2501)))
    metrics = Metrics(path).refresh()
    before = metrics.thinned("loss", slice(2500))
    write(path, *train(*range(2501, 9001)))
    again = metrics.refresh().thinned("loss", slice(2500))
    np.testing.assert_equal([before.steps, before.values], [again.steps, again.values])
    np.testing.assert_equal([before.mean_steps, before.means], [again.mean_steps, again.means])
    np.testing.assert_equal(metrics.thinned("loss", slice(5000, 5010)).steps, range(5001, 5011))


@pytest.mark.parametrize("length", [0, 1, 2, 999, 1000])
def test_a_column_with_few_points_is_drawn_as_it_is(length: int) -> None:
    steps, values = array("d", range(1, length + 1)), array("d", [NAN if n == 1 else n * 0.1 for n in range(length)])
    drawn = Buckets().grown(np.array(values)).of(steps, values)
    for shown, asked in [
        (drawn.steps, steps),
        (drawn.mean_steps, steps),
        (drawn.values, values),
        (drawn.means, values),
    ]:
        np.testing.assert_equal(shown, np.array(asked))


@pytest.mark.parametrize("at", [0, 1, 499_999, 765_432, 999_998, 999_999])
def test_a_spike_among_a_million_points_is_drawn_at_its_own_step(at: int) -> None:
    values = np.random.default_rng(at).normal(1.0, 0.05, 1_000_000)
    values[at] = 40.0
    drawn = Buckets().grown(values).of(array("d", range(1, 1_000_001)), array("d", values.tobytes()))
    assert drawn.steps[drawn.values == 40.0] == [at + 1]
    assert len(drawn.values) <= 2 * BUCKETS + 2
    assert (drawn.steps[0], drawn.steps[-1]) == (drawn.mean_steps[0], drawn.mean_steps[-1]) == (1, 1_000_000)


def pieces(values: np.ndarray, chance: np.random.Generator) -> Iterator[np.ndarray]:
    """The values in turns of very different lengths, as they come in while a page is open now and then."""
    while len(values):
        length = int(10 ** chance.uniform(0, 4))
        yield values[:length]
        values = values[length:]


@pytest.mark.filterwarnings("ignore:All-NaN|Mean of empty")
@pytest.mark.parametrize("seed", range(30))
def test_buckets_say_what_numpy_says_however_the_points_came_in(seed: int) -> None:
    chance = np.random.default_rng(seed)
    values = chance.normal(size=int(10 ** chance.uniform(0, 4.7)))
    values[chance.random(len(values)) < chance.choice([0, 0.3, 0.99])] = NAN
    buckets = Buckets()
    for piece in pieces(values, chance):
        buckets = buckets.grown(piece)
    for found in (buckets, Buckets().grown(values), buckets.coarser(200)):
        agrees(found, values)
    assert buckets.stride == 1 or len(values) > BUCKETS * buckets.stride / 2
    assert len(buckets.coarser(200).rows) <= 200


def agrees(found: Buckets, values: np.ndarray) -> None:
    """The buckets have equal strides, and each has the extremes and the mean of its part."""
    parts = [values[start : start + found.stride] for start in range(0, len(values), found.stride)]
    assert len(found.rows) == len(parts) <= BUCKETS
    np.testing.assert_allclose(found.means, [np.nanmean(part) for part in parts], atol=1e-12)
    drawn = found.extremes
    for number, part in enumerate(parts):
        inside = values[drawn[(drawn >= number * found.stride) & (drawn < (number + 1) * found.stride)]]
        np.testing.assert_equal(
            [np.nanmin(inside), np.nanmax(inside)], [np.nanmin(part), np.nanmax(part)], err_msg=f"bucket {number}"
        )
    assert {0, len(values) - 1} <= set(drawn)
    assert all(np.diff(drawn) > 0)
    assert all(np.diff(found.middles) > 0)


def test_the_stride_doubles_when_there_are_too_many_buckets() -> None:
    buckets, strides = Buckets(), []
    for _ in range(5 * BUCKETS // 100):
        buckets = buckets.grown(np.zeros(100))
        strides.append((buckets.points, buckets.stride, len(buckets.rows)))
    wanted = [(1000, 1, 1000), (1100, 2, 550), (2000, 2, 1000), (2100, 4, 525), (4000, 4, 1000), (4100, 8, 513)]
    assert [found for found in strides if found in wanted] == wanted


def test_a_value_that_was_not_finite_leaves_a_gap_only_where_there_is_no_other() -> None:
    values = np.ones(4 * BUCKETS)  # four to a bucket
    values[[5, 6]] = NAN
    values[[8, 9, 10, 11]] = NAN
    values[[12, 13]] = math.inf, -math.inf
    drawn = Buckets().grown(values).of(array("d", range(len(values))), array("d", values.tobytes()))
    assert list(drawn.means[:5]) == pytest.approx([1, 1, NAN, 1, 1], nan_ok=True)
    assert list(drawn.steps[np.isnan(drawn.values)]) == [8]
    assert all(np.isfinite(drawn.values[drawn.steps != 8]))


def test_events_without_a_name_or_a_time_are_none(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    broken: list[dict] = [{"time": time, "event": "phase"} for time in (None, "1", True, 10**400, [])]
    broken += [{"event": "phase"}, {"time": 1.0}, *({"time": 1.0, "event": name} for name in (None, 1, ["phase"]))]
    good = [{"time": 1, "event": "created"}, {"time": 2.5, "event": "phase", "phase": "running"}]
    write(path, good[0], *broken, good[1], *broken)
    assert events_of(path) == good
    assert latest_of(path, "phase") == good[1]
    assert len(lines_of(path)) == len(good) + 2 * len(broken)


def test_the_newest_event_of_a_name_is_known_without_a_search(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert latest_of(path, "phase") is None
    for time, name in enumerate(["created", "phase", "progress", "phase", "checkpoint"]):
        write(path, {"time": time, "event": name})
    found = [latest_of(path, *names) for names in [("phase",), ("created", "progress"), ("phase", "created"), ("x",)]]
    assert [event and event["time"] for event in found] == [3, 2, 3, None]
    aside = tmp_path / "aside"
    write(aside, {"time": 9, "event": "created"})
    aside.replace(path)
    assert latest_of(path, "phase") is None


def test_events_grow_in_place_and_a_replaced_file_takes_nothing_from_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, {"time": 1, "event": "created"})
    held = events_of(path)
    write(path, {"time": 2, "event": "phase"})
    assert events_of(path) is held
    aside = tmp_path / "aside"
    write(aside, {"time": 3, "event": "created"})
    aside.replace(path)
    assert [event["time"] for event in events_of(path)] == [3]
    assert [event["time"] for event in held] == [1, 2]


READERS: dict[str, Callable[[Path], int]] = {
    "metrics": lambda path: len(metrics_of(path)),
    "events": lambda path: len(events_of(path)),
    "lines": lambda path: len(lines_of(path)),
}


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads that take turns so often that they meet everywhere."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_two_threads_that_look_at_once_never_read_a_line_twice(
    path: Path, reader: Callable[[Path], int], hurried: None
) -> None:
    rows, begin = 400, Barrier(4)
    seen: list[int] = []

    def look() -> None:
        begin.wait()
        seen.append(reader(path))

    for look_number in range(1, 6):
        write(path, *({"step": n, "loss": 1.0, "time": n, "event": "phase"} for n in range(rows)))
        threads = [Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [rows * look_number] * 4
        seen.clear()
