"""Signing in to the Hub in a real browser, and what a typed token does: it opens what is private, and is found nowhere."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from core import home
from core.files import write_whole
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.recipe import parse
from core.recipe_yaml import to_yaml
from tests.local_hub_accounts import Token
from tests.studio_with_hub import sign_in, studio_with_hub
from tests.toy_model import make_toy_model
from tools.browser import chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]
SECRET = "hf_" + "aQ7xW2".join("kLm9Rt")  # like a real one: nothing else in the world reads like it


@pytest.fixture
def hub_and_app(tmp_path):
    with studio_with_hub(tmp_path) as (hub, app):
        hub.tokens[SECRET] = Token("ann", "write")
        make_toy_model(hub.repository("models/ann/tiny"))
        (hub.repository("models/ann/tiny") / ".private").touch()
        rows = [{"instruction": f"Say {n}", "output": str(n)} for n in range(20)]
        (hub.repository("datasets/ann/rows") / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (hub.repository("datasets/ann/rows") / ".private").touch()
        yield hub, app


def test_a_typed_token_opens_what_is_private_and_is_found_nowhere(hub_and_app, page, tmp_path):
    _, app = hub_and_app
    recipe = parse({"model": {"source": "ann/tiny"}, "data": {"sources": [{"source": "ann/rows"}]}})
    write_whole(home.draft_file(), to_yaml(recipe))
    sent = heard(page)
    page.goto(f"{app.url}/hub")

    sign_in(page, "hf_nobody")
    page.get_by_text("The Hub does not accept this token").wait_for()
    sign_in(page, "hf_ann_read")
    page.get_by_text("may only read").wait_for()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, SECRET)
    page.get_by_text("may write to ann and team").wait_for()
    seen = [page.content()]

    page.get_by_role("link", name="Model & data").click()
    page.get_by_role("button", name="Prepare", exact=True).click()
    job = the_job()
    environment = Path(f"/proc/{job.worker.pid}/environ").read_bytes()
    arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    page.get_by_text(re.compile("20 rows|19 rows|rows to train on")).first.wait_for()
    assert job.status is Status.FINISHED, job.result
    page.get_by_text("Hub · ann").wait_for()
    seen.append(page.content())

    assert f"HF_TOKEN={SECRET}".encode() in environment
    assert not any(SECRET.encode() in words for words in arguments)
    assert not any(SECRET in html for html in seen)
    assert len(sent) > 20 and not any(SECRET.encode() in frame for frame in sent)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert home.job_folder(job.id) / "log.txt" in files and tmp_path / "studio.log" in files
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []

    page.get_by_role("link", name="Hub", exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Access token").wait_for()
    page.get_by_text("Hub · ann").wait_for(state="detached")


def test_a_gated_model_shows_what_is_left_to_do_until_it_is_open(hub_and_app, page):
    hub, app = hub_and_app
    model = "meta-llama/Llama-3.2-1B-Instruct"
    gate = hub.repository(f"models/{model}") / ".gated"
    gate.write_text("ann\n")
    write_whole(home.draft_file(), to_yaml(parse({"model": {"source": model}})))
    page.goto(f"{app.url}/model_and_data")
    page.get_by_role("button", name="Sign in").click()
    sign_in(page, "hf_bob")
    page.get_by_text("may write to bob, and read team").wait_for()
    page.get_by_role("link", name="Model & data").click()
    page.get_by_text("Accept its licence first.").wait_for()
    assert page.get_by_role("link", name="Licence").get_attribute("href") == f"{hub.url}/{model}"
    gate.write_text("ann bob\n")
    page.get_by_role("button", name="Check again").click()
    page.get_by_text("Open to you").wait_for()


def heard(page) -> list[bytes]:
    """Everything that the server sends over the websocket, as it comes."""
    frames: list[bytes] = []

    def listen(socket) -> None:
        socket.on("framereceived", lambda frame: frames.append(frame.encode() if isinstance(frame, str) else frame))

    page.on("websocket", listen)
    return frames


def the_job():
    """The only job, as soon as its process is there."""
    end = time.monotonic() + 60
    while not ((jobs := all_jobs()) and jobs[0].worker):
        assert time.monotonic() < end, "nothing was started"
        time.sleep(0.02)
    return jobs[0]
