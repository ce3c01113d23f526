"""A timer that fires while another page is opened must not empty that page. In Chromium, with the tick held back by hand."""

import os

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.test_journey import wait_until
from tools.browser import chromium, studio

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]


class Wire:
    """The browser's connection: every message goes on, the newest tick is kept."""

    def __init__(self, browser_side):
        self.server = browser_side.connect_to_server()
        self.tick: bytes | None = None
        browser_side.on_message(self.pass_on)

    def pass_on(self, message: bytes | str) -> None:
        if isinstance(message, bytes) and BackMsg.FromString(message).rerun_script.is_auto_rerun:
            self.tick = message
        self.server.send(message)


def test_a_late_tick_of_the_page_before_does_not_empty_the_page(studio_home, page):
    wires = []
    page.route_web_socket(lambda url: "/_stcore/stream" in url, lambda found: wires.append(Wire(found)))
    with studio(studio_home) as app:
        page.goto(f"{app.url}/runs")
        page.get_by_text("No runs yet").wait_for()
        wait_until(lambda: page.wait_for_timeout(100) or wires[-1].tick, 30, "the sidebar ticks")
        late = wires[-1].tick
        page.get_by_role("link", name="Chat").click()
        page.get_by_placeholder("Message the model").wait_for()
        wires[-1].tick = None
        wires[-1].server.send(late)
        wait_until(lambda: page.wait_for_timeout(100) or wires[-1].tick, 30, "the sidebar goes on ticking")
        page.wait_for_timeout(500)
        assert page.get_by_placeholder("Message the model").is_visible()
        assert page.get_by_text("Nothing said yet").is_visible()
