"""The studio under another name: through proxies that change the host, the path, or let no websocket through. In Chromium."""

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from studio import stream_by_http
from tests.reverse_proxy import Proxy, proxied
from tools.browser import Studio, browser, chromium, studio

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]
PASSWORD = "correct horse"
LINE = '{"question": "Why?", "answer": "So."}\n'
COLAB = {"prefix": "/user/me/proxy/8501", "keeps_host": False, "websockets": False}  # each thing that left a page blank

HIDE = """Object.defineProperty(document, "hidden", {value: true})
setInterval(() => document.dispatchEvent(new Event("visibilitychange")), 100)"""

GONE = """async line => {
  for (let left = 50; left > 0; left--) {
    if ((await fetch(line)).status === 410) return true
    await new Promise(done => setTimeout(done, 100))
  }
}"""


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Studio]:
    with studio(tmp_path_factory.mktemp("home"), password=PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as found:
        yield found


def sign_in(page: Page, proxy: Proxy, path: str) -> None:
    """Open this path and give the password."""
    page.goto(proxy.url + path)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Open the studio").click()
    page.get_by_role("heading").first.wait_for()


def test_where_no_websocket_gets_through_everything_works_over_plain_requests(app, chrome, tmp_path):
    rows = tmp_path / "my rows.jsonl"
    rows.write_text(LINE * 20)
    with proxied(app.port, **COLAB) as proxy:
        page = chrome.new_page()
        sign_in(page, proxy, "/lora?x=1")
        assert page.url == f"{proxy.url}/lora?x=1"
        page.get_by_role("button", name="Recipe").click()
        with page.expect_download() as asked:
            page.get_by_role("button", name="Download").press("Enter")
        assert asked.value.path().read_text().startswith("name: ")
        assert refused(asked.value.url) == 401, "what was made for one is not there for all"
        page.get_by_role("link", name="Model & data").click()
        page.get_by_role("button", name="Upload files").click()
        page.locator("input[type=file]").first.set_input_files(rows)
        page.get_by_text(re.compile("my-rows-[0-9a-f]{8}")).first.wait_for()
        assert page.url == f"{proxy.url}/model_and_data"
        page.evaluate(HIDE)
        with page.expect_request(re.compile("by-http/.*&now")) as polled:
            page.get_by_role("link", name="Hub").click()
        page.get_by_role("heading", name="Hub").first.wait_for()
        page.goto(f"{proxy.url}/_stcore/health")
        assert page.evaluate(GONE, polled.value.url), "who leaves a page hangs up"
    assert [path.read_text() for path in (app.home / "uploads").iterdir()] == [LINE * 20]


def refused(address: str) -> int:
    """The status of a download by somebody who has only the address."""
    local = address.replace("team.test", "127.0.0.1")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(local, timeout=10)
    return error.value.code


def test_where_websockets_get_through_the_page_uses_one_and_asks_again_after_a_restart(app, chrome):
    with proxied(app.port, prefix="/tuning", keeps_host=False) as proxy:
        page, asked = chrome.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        sign_in(page, proxy, "/runs")
        page.get_by_role("link", name="Hub").click()
        page.get_by_role("heading", name="Hub").first.wait_for()
        assert page.url == f"{proxy.url}/hub"
        assert asked and not [url for url in asked if "by-http" in url]
        app.kill()
        app.start()
        page.get_by_label("Password").wait_for()


def test_where_a_websocket_opens_and_lets_nothing_through_the_page_goes_by_plain_requests(app, chrome):
    with proxied(app.port, drops=True) as proxy:
        sign_in(chrome.new_page(), proxy, "/hub")


SILENT = """script => {
  window.WebSocket = class { close() {} }
  window.fetch = (_, how) => new Promise((_, fail) => how.signal.addEventListener("abort", fail))
  window.eval(script)
  new WebSocket("ws://team.test/_stcore/stream", ["streamlit"]).addEventListener("error", () => { window.gaveUp = true })
}"""


def test_a_proxy_that_never_answers_is_not_waited_for_without_end(chrome):
    page = chrome.new_page()
    page.clock.install()
    page.evaluate(SILENT, stream_by_http.script())
    page.clock.run_for(30_000)
    assert page.evaluate("window.gaveUp") is None
    page.clock.run_for(30_000)
    assert page.evaluate("window.gaveUp") is True


def test_without_a_password_the_page_says_why_it_is_not_served(studio_home, chrome):
    studio_home.mkdir()
    with studio(studio_home) as local, proxied(local.port, keeps_host=False) as proxy:
        page = chrome.new_page()
        page.goto(f"{proxy.url}/runs")
        page.get_by_text(f"asked for as team.test:{proxy.port}. To reach it").wait_for()
