"""Pictures of every page for the README, from a real studio: `make screenshots` (about ten minutes on two cores).

It does the quick start on an empty home in a real browser, takes Home before, Train while it runs, and the rest after.
`python -m tools.screenshots --home FOLDER` uses a home that has a finished run already, and takes no picture of a live one.
"""

import argparse
import re
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from core.data.starter.generate import rows
from core.home import ROOT
from tests.local_hub import local_hub
from tests.studio_with_hub import sign_in
from tools.browser import Studio, browser, studio

PICTURES = ROOT / "docs" / "screenshots"
SIZES = {"": {"width": 1440, "height": 900}, "_1024": {"width": 1024, "height": 768}}
MINUTE = 60_000
# Where nothing trains, the sidebar looks for a changed theme every four seconds.
THEME_IS_SEEN_MS = 5_000


def settle(page: Page) -> None:
    """Wait until Streamlit is idle and the figures are drawn."""
    page.wait_for_timeout(800)
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden", timeout=MINUTE)
    page.wait_for_timeout(1200)


def picture(page: Page, name: str) -> None:
    """The page as it stands, light and dark, wide and narrow."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_timeout(THEME_IS_SEEN_MS)
        for suffix, size in SIZES.items():
            page.set_viewport_size(size)
            settle(page)
            page.screenshot(path=PICTURES / f"{name}_{theme}{suffix}.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(SIZES[""])
    # The page is drawn anew once the theme is seen; a click before that would be lost.
    page.wait_for_timeout(THEME_IS_SEEN_MS)
    settle(page)


def first_run(app: Studio, page: Page) -> None:
    """Press the button a newcomer presses, and wait for the trained model."""
    page.goto(app.url)
    page.get_by_role("button", name="Start the quick start").wait_for(timeout=MINUTE)
    picture(page, "home_first_visit")
    page.get_by_role("button", name="Start the quick start").click()
    page.get_by_text(re.compile(r"Step (9|1\d)")).first.wait_for(timeout=15 * MINUTE)
    picture(page, "train")
    page.get_by_role("button", name="Chat with it").wait_for(timeout=15 * MINUTE)


def the_rest(app: Studio, page: Page) -> None:
    """Every page with a finished run behind it."""
    page.goto(app.url)
    picture(page, "home")
    page.get_by_role("link", name="Model & data").click()
    picture(page, "model_and_data")
    # Only inside the page: the sidebar's group of that name is a button too.
    page.get_by_test_id("stMain").get_by_role("button", name="Prepare").click()
    page.get_by_text("What the model learns from").wait_for(timeout=2 * MINUTE)
    page.get_by_text("What the model learns from").scroll_into_view_if_needed()
    picture(page, "tokens")
    page.get_by_role("link", name="LoRA").click()
    picture(page, "lora")
    page.get_by_role("link", name="Runs").click()
    settle(page)
    # The table is a canvas: its first row's box is a place, not an element.
    page.get_by_test_id("stDataFrame").first.click(position={"x": 16, "y": 50})
    picture(page, "runs")
    page.get_by_role("link", name="Chat").click()
    page.get_by_placeholder("Message the model").fill(rows("held_out")[0]["messages"][0]["content"])
    page.keyboard.press("Enter")
    page.get_by_text("tok/s").wait_for(timeout=3 * MINUTE)
    picture(page, "chat")


def the_hub(home: Path, page: Page) -> None:
    """Signed in to a Hub on this machine, with the run published there."""
    with (
        tempfile.TemporaryDirectory() as folder,
        local_hub(Path(folder) / "hub") as hub,
        studio(home, hub.environment(Path(folder) / "client")) as app,
    ):
        page.goto(f"{app.url}/hub")
        sign_in(page, "hf_ann")
        page.get_by_text("is free").wait_for()
        page.get_by_role("button", name="Publish").click()
        page.get_by_text("Published:").wait_for(timeout=3 * MINUTE)
        picture(page, "hub")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="a $STUDIO_HOME with a finished run")
    chosen = parser.parse_args().home
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as empty, browser() as found:
        home = chosen or Path(empty)
        page = found.new_page(viewport=SIZES[""])
        page.set_default_timeout(MINUTE)
        with studio(home) as app:
            if not chosen:
                first_run(app, page)
            the_rest(app, page)
        the_hub(home, page)


if __name__ == "__main__":
    main()
