"""A conversation as a file to take away: JSON lines that a training reads, or Markdown that a person reads.

Where names are hidden until the vote they are so here too, and the answers stand in the order of the page.
"""

import json
from datetime import UTC, datetime

from core.chats import TIE, Chat, Turn, name_of

HIDDEN = "hidden until the vote"


def as_jsonl(chat: Chat) -> str:
    """One line in the `messages` layout for each pane in which something was answered; what has no end is not learned."""
    return "".join(f"{line}\n" for pane in _panes(chat) if (line := _line(chat, pane)))


def as_markdown(chat: Chat) -> str:
    """A heading, then question and answers in turn. What was said is indented by nothing: it is Markdown already."""
    when = datetime.fromtimestamp(chat.created, UTC)
    return "\n\n".join([f"# {chat.title}", f"{when:%Y-%m-%d %H:%M} UTC", *(_turn(turn) for turn in chat.turns)]) + "\n"


def _panes(chat: Chat) -> list[int]:
    most = max((len(turn.answers) for turn in chat.turns), default=0)
    hidden = next((turn for turn in chat.turns if turn.hidden and len(turn.answers) == most), None)
    return [hidden.pane_at(place) for place in range(most)] if hidden else list(range(most))


def _line(chat: Chat, pane: int) -> str | None:
    answered = [turn for turn in chat.turns if (reply := turn.answer_in(pane)) and reply.text.strip()]
    if not answered:
        return None
    replies = [turn.answer_in(pane) for turn in answered]
    messages = [*chat.prompt(answered[-1], pane), {"role": "assistant", "content": replies[-1].text}]
    said = (message for message in messages if message["role"] == "assistant")
    for message, reply in zip(said, replies, strict=True):
        if not reply.whole:
            message["weight"] = 0
    models = dict.fromkeys(reply.model for reply in replies)
    model = HIDDEN if any(turn.hidden for turn in answered) else ", ".join(models)
    return json.dumps({"messages": messages, "model": model, "name": chat.title}, ensure_ascii=False)


def _turn(turn: Turn) -> str:
    system = [f"*System prompt:* {turn.system}"] if turn.system else []
    parts = [*system, "## Question", turn.question]
    for place in range(len(turn.answers)):
        reply = turn.answers[turn.pane_at(place)]
        who = name_of(place) if turn.hidden else reply.label
        notes = [note for note, holds in _notes(turn, reply.id, reply.correction) if holds]
        parts += [f"### {who}" + (f" ({', '.join(notes)})" if notes else ""), reply.text or "*No answer.*"]
    return "\n\n".join(parts)


def _notes(turn: Turn, reply_id: str, correction: str | None) -> list[tuple[str, bool]]:
    return [("corrected", bool(correction)), ("better", turn.better == reply_id), (TIE, turn.better == TIE)]
