"""Weights become whole rows: shares hold, the rule decides the size, the seed decides which rows."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.mixing import ANCHORED, AS_THEY_COME, RULES, drawn, held_out_of_each, rows_of_each, rule
from core.errors import DataError

SOURCES = st.lists(st.tuples(st.integers(0, 5_000), st.none() | st.floats(0.01, 1)), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("available", "weights", "mixing", "rows"),
    [
        ([100, 300], [None, None], "same size", [100, 300]),
        ([100, 300], [0.3, 0.7], "same size", [120, 280]),
        ([100, 300], [0.3, 0.7], "never repeat", [100, 233]),
        ([100, 300], [0.3, 0.7], "never cut", [129, 300]),
        ([100, 300], [0.03, 0.07], "same size", [120, 280]),
        ([100, 300], [None, 0.5], "same size", [100, 100]),
        ([100, 20], [None, 0.5], "never repeat", [100, 100]),
        ([100], [0.3], "same size", [100]),
        ([100, 0], [0.3, 0.7], "same size", [100, 0]),
        ([0, 0], [0.5, 0.5], "never cut", [0, 0]),
        ([10_000, 1], [0.99999, 0.00001], "same size", [10_001, 1]),
    ],
)
def test_weights_become_rows(available, weights, mixing, rows):
    assert rows_of_each(available, weights, mixing) == rows


def test_weights_that_leave_nothing_for_the_others_are_refused():
    with pytest.raises(DataError, match="add up to 1"):
        rows_of_each([10, 10, 10], [0.5, 0.5, None])


@given(SOURCES, st.sampled_from(list(RULES)))
def test_shares_hold_whatever_the_sizes(sources, mixing):
    available, weights = zip(*sources, strict=True)
    try:
        rows = rows_of_each(available, weights, mixing)
    except DataError:
        assert None in weights and sum(weight or 0 for weight in weights) >= 1
        return
    there = [place for place, number in enumerate(available) if number]
    assert all(rows[place] > 0 for place in there) and sum(rows) >= len(there)
    assert all(not rows[place] for place in range(len(rows)) if place not in there)
    assert all(rows[place] == available[place] for place in there if weights[place] is None)
    weighted = [place for place in there if weights[place] is not None]
    if len(weighted) == len(there) > 1:
        shares = sum(weights[place] for place in weighted)
        # Each is at most half a row, or the one row that each data set keeps, away from its share.
        assert all(abs(rows[p] - sum(rows) * weights[p] / shares) <= len(there) + 1 for p in weighted)
        if mixing == "never repeat":
            assert all(rows[place] <= available[place] for place in weighted)
        if mixing == "never cut":
            assert all(rows[place] >= available[place] for place in weighted)


@given(st.integers(0, 300), st.integers(0, 2_000), st.text(max_size=5))
def test_a_draw_takes_every_row_as_often_as_it_fits_and_is_the_same_for_the_same_seed(available, wanted, seed):
    rows = drawn(available, wanted, seed)
    assert rows == drawn(available, wanted, seed) == sorted(rows)
    assert len(rows) == (wanted if available else 0)
    times = Counter(rows)
    assert not times or max(times.values()) - min(times.get(row, 0) for row in range(available)) <= 1


@pytest.mark.parametrize(
    ("weights", "said"),
    [([0.5], AS_THEY_COME), ([None, None], AS_THEY_COME), ([0.5, None], ANCHORED), ([0.5, 0.5], RULES["never cut"])],
)
def test_the_rule_is_said_in_words(weights, said):
    assert rule(weights, "never cut") == said


@given(st.lists(st.integers(0, 400), max_size=5), st.floats(0, 0.5))
def test_what_is_held_out_is_a_share_of_each_and_never_all(rows, fraction):
    wanted = held_out_of_each(rows, fraction)
    assert all(0 <= number <= max(0, there - 1) for number, there in zip(wanted, rows, strict=True))
    assert any(wanted) == (bool(fraction) and max(rows, default=0) > 1)
    assert all(abs(number - there * fraction) <= 1 for number, there in zip(wanted, rows, strict=True))
