"""Work in several processes: the results are in order, and a stop ends what is under way."""

import multiprocessing
import time
from pathlib import Path

import pytest

from core.data import hands

pytestmark = pytest.mark.process


def test_results_come_in_the_order_of_the_items():
    assert list(hands.worked(lambda item: item * 2, range(20), 2)) == [(item, item * 2) for item in range(20)]


def test_a_stop_does_not_wait_for_what_is_under_way(tmp_path):
    def slow(place: Path) -> None:
        if place.name != "0":
            time.sleep(3)
        place.write_text("done")

    under_way = hands.worked(slow, [tmp_path / str(number) for number in range(8)], 2)
    next(under_way)
    under_way.close()
    assert not multiprocessing.active_children()
    assert sorted(place.name for place in tmp_path.iterdir()) == ["0"]
