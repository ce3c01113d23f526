"""Let the models answer the last question, word by word and side by side, until they are done, fail, or are stopped.

Streamlit ends a script by an exception out of its next `st` call, and every later call raises too: nothing can be drawn
or stored any more. What was written is therefore kept by changing the answers themselves, piece by piece, and written to
the disk in the end. Until that next call the new run of the page is already there, beside this one; it waits and draws
anew when the question is over.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core import chats
from core.chats import Chat, Reply, Turn
from core.errors import EngineError
from core.inference import client, process
from core.inference.choices import ChatModel
from core.inference.client import Comparison, Sampling
from core.inference.process import Engine
from studio.chat_feedback import keep_opinion
from studio.chat_memory import chosen_bits
from studio.chat_text import safe_markdown
from studio.markdown import plain_lines
from studio.session import hub_token

CURSOR = " ▍"
DRAW_EVERY_S = 0.05


@dataclass
class Place:
    """Where one answer is drawn while it comes."""

    body: Any
    foot: Any
    drawn: float = field(default=0.0)

    def draw(self, reply: Reply) -> None:
        self.drawn = time.monotonic()
        self.body.markdown(safe_markdown(reply.content) + CURSOR, anchors=False)

    def draw_whole(self, reply: Reply, error: str | None) -> None:
        """Once it has ended; others may go on for long."""
        self.body.markdown(safe_markdown(reply.content), anchors=False)
        if error:
            self.foot.error(plain_lines(error), icon=":material/error:")
        else:
            self.foot.empty()


@contextmanager
def answering(chat: Chat, models: list[ChatModel]) -> Iterator[None]:
    """Around the drawing of the last question while it is answered: however that ends, the question is over then."""
    turn = chat.turns[-1]
    if not turn.going_on:
        bits = chosen_bits()
        turn.answers = [Reply(model=model.id, label=model.label, tuned=model.tuned, bits=bits) for model in models]
        turn.seed = turn.seed if len(models) > 1 else None
        turn.better = None
    turn.state = "writing"
    try:
        yield
    finally:
        written = turn.awaited
        turn.state, turn.going_on = "over", None
        chats.save(chat)
        for reply in written:
            if reply.liked:  # before it went on: it may have its end by now
                keep_opinion(chat, turn, turn.answers.index(reply), reply)


def write_answers(chat: Chat, sampling: Sampling, places: list[Place]) -> None:
    """Draw the answers as they come, each in the place of its pane; an error stays with the answer."""
    turn = chat.turns[-1]
    redraw_when_over(turn)
    try:
        engine = _engine(places[0].foot).asking_with(hub_token())
        ask = _go_on if turn.going_on else _ask
        _write(ask(engine, chat, turn, sampling), turn.awaited, places)
        _learn_context(engine, chat, turn)
    except EngineError as error:
        for reply in turn.awaited:
            if reply.stopped or (turn.going_on and not reply.whole):
                reply.error = str(error)


def _engine(foot: Any) -> Engine:
    if process.running():
        return process.engine()
    with foot, st.spinner("Starting the chat engine… The first message takes some seconds longer."):
        return process.engine()


def _ask(engine: Engine, chat: Chat, turn: Turn, sampling: Sampling) -> Comparison:
    """The question for all panes, each after its own history."""
    prompts = [chat.prompt(turn, pane) for pane in range(len(turn.answers))]
    models = [reply.model for reply in turn.answers]
    histories = [prompt[:-1] for prompt in prompts]
    return client.compare(engine, models, prompts[0][-1:], sampling, histories, turn.answers[0].bits)


def _go_on(engine: Engine, chat: Chat, turn: Turn, sampling: Sampling) -> Comparison:
    """What comes after the words of an answer that was cut, from the model that wrote them."""
    (reply,) = turn.awaited
    said, history = {"role": "assistant", "content": reply.content}, chat.prompt(turn, turn.answers.index(reply))
    return client.compare(engine, [reply.model], [said], sampling, [history], reply.bits, go_on=True)


def _write(stream: Comparison, replies: list[Reply], places: list[Place]) -> None:
    """Draw every piece, the empty ones too: they come while nothing is written, and a draw is what obeys a stop."""
    before = [reply.model_copy() for reply in replies]
    for reply, place in zip(replies, places, strict=True):
        if reply.content:
            place.draw(reply)
        place.foot.caption(":shimmer[Loading the model and reading…]")
    try:
        for index, piece in stream:
            reply, place = replies[index], places[index]
            if piece and reply.content == before[index].content:
                place.foot.caption(":shimmer[Writing…]")
            reply.content += piece
            if stream.ended(index):
                place.draw_whole(reply, stream.errors[index])
            elif not piece or time.monotonic() - place.drawn >= DRAW_EVERY_S:
                place.draw(reply)
    finally:
        stream.close()
        _keep_numbers(stream, replies, before)


def _keep_numbers(stream: Comparison, replies: list[Reply], before: list[Reply]) -> None:
    """An answer that went on has its tokens of before as well; of which nothing came, that is as it was."""
    for reply, old, stats, error in zip(replies, before, stream.all_stats, stream.errors, strict=True):
        reply.error = error
        cancelled = stats.finish_reason not in ("stop", "length")
        if cancelled and not stats.tokens:
            continue
        reply.stopped = cancelled or error is not None
        reply.prompt_tokens = old.prompt_tokens or stats.prompt_tokens
        reply.tokens = (old.tokens or 0) + stats.tokens
        reply.seconds_to_first, reply.tokens_per_s = stats.seconds_to_first, stats.tokens_per_s
        reply.finish_reason = stats.finish_reason


def _learn_context(engine: Engine, chat: Chat, turn: Turn) -> None:
    """How much each model reads at most. The answers are there already: without it they are shown as well."""
    for pane, reply in enumerate(turn.answers):
        with suppress(EngineError):
            reply.context = client.reading(engine, reply.model, chat.prompt(turn, pane)).context


def redraw_when_over(turn: Turn) -> None:
    """Look every second whether the question is over, then draw the page anew."""

    @st.fragment(run_every=1, key="chat:over")
    def look() -> None:
        if turn.state == "over":
            st.rerun()

    look()
