"""In windows of several widths, in Chromium: what is written there can be read to its end."""

import os

import pytest

from benchmarks.synthetic_jobs import make_job
from tools.browser import chromium, studio

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]

CUT = """() => [...document.querySelectorAll('[data-testid=stMetric] *')]
    .filter(part => part.scrollWidth > part.clientWidth && getComputedStyle(part).overflow != 'visible')
    .map(part => part.innerText)"""


def test_the_notes_of_the_metrics_are_whole_in_every_width(studio_home, page):
    make_job(0, "metrics", "stopped", steps=1125, reported=412)
    with studio(studio_home) as app:
        page.goto(f"{app.url}/train")
        for width in (1440, 1280, 1024, 800):
            page.set_viewport_size({"width": width, "height": 800})
            page.get_by_text("in 50 steps").wait_for(timeout=60_000)
            page.wait_for_timeout(500)  # the cards take their new widths
            assert page.evaluate(CUT) == [], width
