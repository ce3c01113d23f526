"""Saved conversations: one JSON file each under `$STUDIO_HOME/chats`, written whole whenever something was said.

A turn is a question and its answers, one for each pane. With one pane it is a plain chat; with several, models are compared.
"""

import random
import string
import threading
import time
import uuid
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from core import home
from core.files import write_whole
from core.inference.client import Bits

LONGEST_NAME = 60
UNTITLED = "Untitled chat"
TIE = "tie"

Messages = list[dict[str, str]]

# Two runs of a page may save at once: they are threads of one process, and write to the same file.
_writing = threading.Lock()


def name_of(place: int) -> str:
    """Answer A, where nobody may know yet whose it is."""
    return f"Answer {string.ascii_uppercase[place]}"


def new_id() -> str:
    return uuid.uuid4().hex[:16]


class Reply(BaseModel):
    """What one model answered. `stopped` until it is whole; its numbers are None where they are not known."""

    id: str = Field(default_factory=new_id)
    model: str
    label: str
    tuned: bool
    bits: Bits = 16
    content: str = ""
    stopped: bool = True
    error: str | None = None
    liked: bool | None = None
    correction: str | None = None
    prompt_tokens: int | None = None
    tokens: int | None = None
    seconds_to_first: float | None = None
    tokens_per_s: float | None = None
    finish_reason: str | None = None
    context: int | None = Field(None, description="the longest conversation that the model reads, in tokens")

    @property
    def text(self) -> str:
        """What counts from now on: the correction, where there is one."""
        return self.correction or self.content

    @property
    def whole(self) -> bool:
        """Whether what counts has its end: it was neither stopped nor cut, or a person wrote it."""
        return bool(self.correction) or not (self.stopped or self.finish_reason == "length")


class Turn(BaseModel):
    """A question, the system prompt it was asked under, and the answers, in the order of the panes.

    `seed` shuffles the answers where names are hidden until the vote; `better` is the vote: an answer's id, or `tie`. The
    vote on a later turn of the same order has `revealed` them too.
    `state` is of this moment: a file that was read is never being written. While it is asked for and written, `going_on`
    is the id of the answer that goes on from where it was cut; None where all answers are new.
    """

    id: str = Field(default_factory=new_id)
    question: str
    system: str = ""
    time: float = Field(default_factory=time.time)
    seed: int | None = None
    better: str | None = None
    revealed: bool = False
    answers: list[Reply] = []
    state: Literal["asked", "writing", "over"] = Field("over", exclude=True)
    going_on: str | None = Field(None, exclude=True)

    @property
    def awaited(self) -> list[Reply]:
        """The answers that are being written."""
        return [reply for reply in self.answers if self.going_on in (None, reply.id)]

    @property
    def hidden(self) -> bool:
        """Whether nobody may know yet who answers."""
        return self.seed is not None and self.better is None and not self.revealed

    @property
    def comparable(self) -> bool:
        """Whether there are several whole answers to choose from."""
        return (
            self.state == "over"
            and len(self.answers) > 1
            and not any(reply.stopped or not reply.text for reply in self.answers)
        )

    def answer_in(self, pane: int) -> Reply | None:
        """The answer of a pane; where there were fewer panes then, the first one's."""
        return self.answers[pane if pane < len(self.answers) else 0] if self.answers else None

    def pane_at(self, place: int) -> int:
        """Which pane's answer stands in a place: its own, or another's where the answers are shuffled."""
        panes = list(range(len(self.answers)))
        if self.seed is not None:
            random.Random(self.seed).shuffle(panes)
        return panes[place] if place < len(panes) else 0

    def name_until_vote(self, reply: Reply) -> str:
        """What an answer is called while nobody may know whose it is: by its place."""
        places = range(len(self.answers))
        return name_of(next(place for place in places if self.answers[self.pane_at(place)] is reply))


class Chat(BaseModel):
    """One conversation; without a name of its own it is called by its first question that is not blank.

    `changed` is when it was saved last, by whoever holds it.
    """

    id: str = Field(default_factory=new_id)
    name: str | None = None
    created: float = Field(default_factory=time.time)
    changed: float = Field(default_factory=time.time)
    turns: list[Turn] = []
    deleted: bool = Field(False, exclude=True)

    @property
    def title(self) -> str:
        questions = (" ".join(turn.question.split()) for turn in self.turns)
        first = next(filter(None, questions), UNTITLED if self.turns else "New chat")
        return self.name or (first if len(first) <= LONGEST_NAME else first[: LONGEST_NAME - 1] + "…")

    @property
    def models(self) -> list[str]:
        """Who has answered, by name, in order of appearance."""
        return list(dict.fromkeys(reply.label for turn in self.turns for reply in turn.answers))

    def prompt(self, turn: Turn, pane: int = 0) -> Messages:
        """What the model of a pane reads to answer a turn: its own earlier answers; what it never answered is left out."""
        messages = [{"role": "system", "content": turn.system}] if turn.system else []
        for before in self.turns[: self.turns.index(turn)]:
            if (reply := before.answer_in(pane)) and reply.text.strip():
                messages += [_said("user", before.question), _said("assistant", reply.text)]
        return [*messages, _said("user", turn.question)]

    def has(self, words: str) -> bool:
        """Whether its name, questions or answers hold these words, upper and lower case alike."""
        texts = [self.title, *(turn.question for turn in self.turns)]
        texts += [reply.text for turn in self.turns for reply in turn.answers]
        return any(words.casefold() in text.casefold() for text in texts)


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def save(chat: Chat) -> None:
    """Write a conversation in which something was said; beside what another tab has made of it, not over it.

    A deleted one stays so: an answer may still have been on its way.
    """
    with _writing:
        if not chat.turns or chat.deleted:
            return
        if _changed_elsewhere(chat):
            chat.id = new_id()
        chat.changed = time.time()
        write_whole(home.chat_file(chat.id), chat.model_dump_json(indent=1))


def delete(chat: Chat) -> None:
    with _writing:
        chat.deleted = True
        home.chat_file(chat.id).unlink(missing_ok=True)


def newest(chat: Chat) -> Chat:
    """The conversation as another tab has left it, if it went on with it; else, or while this one is answered, the same."""
    at_work = any(turn.state != "over" for turn in chat.turns)
    there = None if at_work else _changed_elsewhere(chat)
    return opened(there) if there else chat


def _changed_elsewhere(chat: Chat) -> Chat | None:
    """What was saved of it, where somebody else saved it last."""
    there = _read(home.chat_file(chat.id))
    return there if there and there.changed > chat.changed else None


def saved_chats() -> list[Chat]:
    """Every conversation that can be read, the one changed last first."""
    return sorted((chat for path in _files() if (chat := _read(path))), key=lambda chat: chat.changed, reverse=True)


def unreadable_chats() -> list[str]:
    """The names of files that hold no conversation, so that nobody looks for it in vain."""
    return [path.name for path in _files() if _read(path) is None]


def opened(chat: Chat) -> Chat:
    """A copy to go on with: what was read from a file is shared among tabs."""
    return chat.model_copy(deep=True)


def _files() -> list[Path]:
    return sorted(home.chats_folder().glob("[!.]*.json"))


def _read(path: Path) -> Chat | None:
    try:
        stat = path.stat()
        return _parsed(path, stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=1024)
def _parsed(path: Path, changed_ns: int, size_bytes: int) -> Chat | None:
    try:
        return Chat.model_validate_json(path.read_bytes())
    except ValidationError:
        return None
