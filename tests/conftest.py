"""What every test gets: a home of its own, and no surprise from the environment."""

import gc
import os
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Page

from core import home
from core.hardware import machine
from core.models import compiler
from tools.browser import browser

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# As the studio's own processes begin: before torch is imported here, and in all that the tests start.
os.environ |= compiler.surroundings(machine(Path.cwd()).device)

# What is imported stays: nothing is looked through for garbage while the tests are collected.
gc.disable()

# Whatever else this machine does, no test fails because it is slow.
settings.register_profile("studio", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("studio")


def pytest_collection_finish():
    """Every training collects garbage once: a second where all that the libraries have imported is looked through too."""
    gc.freeze()
    gc.enable()
    # For every page it opens, AppTest reads the metadata of all installed packages, which is most of its time.
    if "streamlit" in sys.modules:
        from streamlit.components.v2 import manifest_scanner

        manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


@pytest.fixture(autouse=True)
def studio_home(tmp_path, monkeypatch) -> Path:
    """An empty $STUDIO_HOME, nothing that would reach a real Hub, and no password of somebody's own studio."""
    folder = tmp_path / "studio-home"
    monkeypatch.setenv("STUDIO_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.delenv("STUDIO_PASSWORD", raising=False)
    return folder


@pytest.fixture
def page():
    """A tab of a real browser."""
    with browser() as found:
        tab = found.new_page(viewport={"width": 1440, "height": 900})
        tab.set_default_timeout(60_000)
        yield tab


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A journey that fails says what could be seen: on another machine nobody can look."""
    report = yield
    tab = item.funcargs.get("page")
    if report.when == "call" and report.failed and isinstance(tab, Page):  # some tests take the name of one
        report.sections.append(("The page", f"{tab.url}\n{tab.inner_text('body')}"))
    return report


@pytest.fixture
def shared_data() -> Path:
    """Real rows in the layouts of public data sets; not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data is not there")
    return SHARED_DATA


@pytest.fixture(scope="session")
def starter_models(tmp_path_factory) -> Path:
    """The folder of models with the real starter, fetched once for all that do not test the fetching."""
    from core.models import starter
    from core.models.progress import silent

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("starter")))
        starter.fetch(silent)
        return home.models_folder()


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A folder with a model that is trained in a second."""
    from tests.toy_model import make_toy_model  # and with it torch, which most tests need not wait for

    return make_toy_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture(scope="module")
def one_thread():
    """As fast as two for a toy, and the same to the last bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
