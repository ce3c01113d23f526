"""From a finished run to the Hub and to a zip, in a real browser: sign in, read the card, publish, download an export."""

import os
import re
import zipfile

import pytest

from core.jobs.errand import errands_of
from core.jobs.status import Status
from tests.local_hub_repository import Snapshot
from tests.studio_with_hub import sign_in, studio_with_hub
from tests.toy_model import make_toy_model
from tests.toy_taught import make_taught
from tools.browser import chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.process,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]


@pytest.fixture
def hub_and_app(tmp_path):
    with studio_with_hub(tmp_path) as found:
        yield found


def test_a_run_is_signed_in_for_read_published_and_downloaded(hub_and_app, page, tmp_path):
    hub, app = hub_and_app
    base = make_toy_model(hub.repository("models/base/toy"))
    run = make_taught(base, "base/toy", Snapshot(base).commit)
    page.goto(f"{app.url}/hub")
    page.get_by_text("Sign in above").wait_for()
    sign_in(page, "hf_ann")
    page.get_by_text("ann/taught is free").wait_for()
    page.get_by_text("A LoRA adapter for").wait_for()
    page.get_by_text('AutoPeftModelForCausalLM.from_pretrained("ann/taught")').wait_for()
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("link", name="ann/taught").wait_for()
    files = Snapshot(hub.repository("models/ann/taught")).files
    assert "base_model: base/toy" in files["README.md"].read_text()
    assert (hub.repository("models/ann/taught") / ".private").exists()
    page.get_by_text("it will be updated").wait_for()

    page.get_by_role("link", name="Runs").click()
    page.get_by_test_id("stDataFrame").first.click(position={"x": 16, "y": 50})
    page.get_by_role("button", name="Export", exact=True).click()
    page.get_by_role("button", name=re.compile("Export .*MB|Export under")).click()
    page.get_by_text("Adapter of the result").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").last.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert "taught-step-40/adapter_model.safetensors" in archive.namelist()
    (job,) = errands_of(run, "export")
    assert job.status is Status.FINISHED
