"""A Space in a real browser: made for a model, a line of its program changed, pushed, changed there, and pushed again."""

import os

import pytest

from core.hub.space_asked import pushes_of
from tests.studio_with_hub import sign_in, studio_with_hub
from tests.test_journey import wait_until
from tests.test_space import put_bot
from tools.browser import chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]


def test_a_space_is_made_changed_and_pushed(page, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "studio-home"))
    with studio_with_hub(tmp_path) as (hub, app):
        put_bot(hub)
        page.goto(f"{app.url}/hub")
        sign_in(page, "hf_ann")
        page.get_by_text("may write to ann").wait_for()
        model = page.get_by_role("combobox", name="Model")
        model.click()
        model.fill("ann/none")
        model.press("Enter")
        page.get_by_text("The Hub has no repository ann/none").wait_for()
        model.click()
        model.fill("ann/bot")
        model.press("Enter")
        page.get_by_text("ann/bot is private. The Space can only read it with a token").wait_for()

        page.get_by_text("Edit", exact=True).first.click()
        program = page.get_by_label("app.py", exact=True)
        program.fill(f"{program.input_value()}# A line of mine\n")
        program.press("Control+Enter")
        page.get_by_role("button", name="Undo my changes").wait_for()
        page.get_by_role("button", name="Push to the Hub").click()
        page.get_by_text("ann/bot-chat is on the Hub and starts in some minutes.").wait_for()
        assert page.get_by_role("link", name="Open the Space").get_attribute("href") == f"{hub.url}/spaces/ann/bot-chat"
        there = hub.root / "spaces/ann/bot-chat/app.py"
        assert there.read_text().endswith("# A line of mine\n")
        assert (there.parent / ".private").exists()

        there.write_text("# Somebody else's\n")
        page.get_by_role("button", name="Push to the Hub").click()
        page.get_by_text("app.py was changed in ann/bot-chat by somebody").wait_for()
        page.get_by_role("button", name="Take it over").click()
        wait_until(lambda: program.input_value() == "# Somebody else's\n", 20, "their text is in the editor")
        page.get_by_role("button", name="Undo my changes").click()
        page.get_by_role("button", name="Push mine and replace it").click()
        wait_until(lambda: "import gradio" in there.read_text(), 30, "mine is there again")
        assert len(pushes_of(space="ann/bot-chat")) == 3
