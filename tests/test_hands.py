"""Work in several processes: the results are in order, and a stop ends what is under way."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.data import hands
from core.home import ROOT

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


def test_one_that_is_ended_while_it_hands_over_a_large_result_leaves_nobody_waiting():
    """It was half a message, whose reader waited for the rest for ever."""
    program = """
from core.data import hands
from core.home import ROOT
hands.LOOKS_EVERY_S = 0.001
for _ in range(8):
    under_way = hands.worked(lambda _: bytes(30_000_000), range(20), 2)
    for _ in range(3):
        next(under_way)
    under_way.close()
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
