"""Models side by side: stopped, voted blind, one answer corrected, and the correction trained on. In Chromium, with toys."""

import json
import os
import re

import pytest

from core import chats, home, votes
from core.files import write_whole
from core.inference import process as engine_process
from core.jobs import launcher
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.recipe import parse
from core.recipe_yaml import load, to_yaml
from tests.test_journey import wait_until
from tests.toy_model import make_toy_parrot, make_toy_shouter
from tests.toy_run import make_toy_run
from tools.browser import chromium, studio

pytestmark = [
    pytest.mark.browser,
    pytest.mark.process,
    pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine"),
]
NASTY = "<script>hacked=1</script> ![x](javascript:hacked=1)"
BETTER = "Good day to you."


@pytest.fixture
def app(studio_home, tmp_path, monkeypatch):
    """A base that says markup, two runs that say one word for ever, and a draft of a short training on that base."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    base = make_toy_parrot(tmp_path / "parrot", NASTY)
    make_toy_run("20260101-000000-shouter", str(base), lambda to: make_toy_shouter(to, base), name="shouter")
    make_toy_run("20250101-000000-asker", str(base), lambda to: make_toy_shouter(to, base, "system"), name="asker")
    values = {
        "name": "from feedback",
        "model": {"source": str(base)},
        "data": {"sources": [{"source": "starter", "limit": 12}], "max_length": 256},
        "training": {"batch": 2, "accumulation": 1, "max_steps": 3},
    }
    write_whole(home.draft_file(), to_yaml(parse(values)))
    with studio(studio_home) as running:
        yield running
    for job in all_jobs():
        if job.status.live:
            launcher.stop(job)
            launcher.wait(job, 60)
    engine_process.stop()


def switch(page, name: str) -> None:
    page.get_by_test_id("stCheckbox").filter(has_text=name).click()


def answers_may_have(page, tokens: int) -> None:
    page.get_by_role("button", name="Sampling").click()
    most = page.get_by_role("spinbutton", name="Max tokens")
    most.fill(str(tokens))
    most.press("Enter")
    page.keyboard.press("Escape")
    most.wait_for(state="hidden")


def ask(page, text: str) -> None:
    page.get_by_placeholder("Message the models").fill(text)
    page.keyboard.press("Enter")


def three_are_stopped(page) -> None:
    """Two of them would go on for long. Each keeps what it has said, and the one that was done stays whole."""
    answers_may_have(page, 4000)
    page.get_by_role("button", name="Add model").click()
    panes = [page.locator(f".st-key-chat-pane-{place}") for place in range(3)]
    panes[2].wait_for()
    ask(page, "Hi")
    stop = page.locator(".st-key-chat-stop").get_by_role("button")
    words = ["thethethe", NASTY, "systemsystem"]
    for pane, word in zip(panes, words, strict=True):
        pane.get_by_test_id("stChatMessage").nth(1).get_by_text(word).wait_for(timeout=120_000)
    panes[1].get_by_text("Writing…").wait_for(state="hidden")
    stop.click()
    for pane in (panes[0], panes[2]):
        pane.get_by_text("· stopped").wait_for()
    wait_until(lambda: chats.saved_chats()[0].turns[0].answers, 30, "the answers are kept")
    replies = chats.saved_chats()[0].turns[0].answers
    assert [reply.stopped for reply in replies] == [True, False, True]
    assert all(word in reply.content for word, reply in zip(words, replies, strict=True))
    assert all(10 < reply.tokens < 3900 for reply in replies)

    page.locator(".st-key-chat-less-2").get_by_role("button").click()
    panes[2].wait_for(state="detached")
    answers_may_have(page, 256)
    page.get_by_role("button", name="New chat").click()
    page.get_by_text("Nothing said yet").wait_for()


def draft_sources() -> list[str]:
    return [source.source for source in load(home.draft_file()).data.sources]


def test_models_are_stopped_and_compared_blind_and_a_corrected_answer_is_trained_on(app, page):
    page.goto(f"{app.url}/chat")
    switch(page, "Compare")
    three_are_stopped(page)

    switch(page, "Blind")
    panes = [page.locator(f".st-key-chat-pane-{place}") for place in (0, 1)]
    panes[1].get_by_text("Answer B").wait_for()
    ask(page, "Hi")
    page.get_by_text("Which answer is better?").wait_for(timeout=120_000)

    # Nobody is named, and what looks like markup has stayed text.
    assert not page.get_by_text("shouter").count()
    texts = [pane.get_by_test_id("stChatMessage").nth(1).inner_text() for pane in panes]
    base = next(place for place, text in enumerate(texts) if NASTY in text)
    assert "thethethe" in texts[1 - base]
    assert page.evaluate("window.hacked") is None
    assert not page.locator(".stChatMessage script, .stChatMessage img, .stChatMessage a").count()

    page.get_by_role("button", name=f"Answer {'AB'[base]}").click()
    page.get_by_text("You chose parrot").wait_for()
    page.get_by_role("button", name=re.compile("Votes · 1")).wait_for()
    (tally,) = votes.tallies()
    sides = {tally.model: tally.wins, tally.against: tally.losses}
    assert sides == {"parrot": 1, "shouter": 0} and not tally.ties

    # The answer of the run is wrong; a better one takes its place.
    panes[1 - base].get_by_test_id("stMenuButton").get_by_role("button").click()
    page.get_by_text("Correct this answer").click()
    page.get_by_role("textbox", name="A better answer").fill(BETTER)
    page.get_by_role("button", name="Save the correction").click()
    wait_until(lambda: home.feedback_file("chat").exists(), 30, "the correction is kept")
    panes[1 - base].get_by_text("corrected").wait_for()
    (row,) = [json.loads(line) for line in home.feedback_file("chat").read_text().splitlines()]
    assert row["messages"][-1]["content"] == BETTER and row["model"] == "20260101-000000-shouter"
    assert chats.saved_chats()[0].turns[0].better

    # It is a data source like any other, with its count.
    page.get_by_role("button", name="Train on it").click()
    page.get_by_role("button", name="Add data set").click()
    page.get_by_text("Answers 1 corrected").wait_for()
    page.locator(".st-key-add-feedback-chat-jsonl").get_by_role("button").click()
    wait_until(lambda: draft_sources() == ["starter", "feedback/chat.jsonl"], 30, "the feedback is a source")
    page.get_by_text("1 row: 1 corrected").wait_for()
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Next: LoRA").click()
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("heading", name="from feedback").wait_for()
    run = all_jobs("train")[0]
    assert launcher.wait(run, 180) is Status.FINISHED
    assert [source.source for source in run.recipe.data.sources] == ["starter", "feedback/chat.jsonl"]
