"""The starter data: a support desk whose every answer has the same three lines, learned in a few dozen LoRA steps.

    Topic: Delivery
    Answer: Standard delivery takes three working days from the moment your parcel leaves our warehouse.
    Next step: Choose Standard at checkout and watch your inbox for the dispatch email.

Whether a model has learned it needs no taste to judge: `in_manner` says yes or no. The facts are written by hand in
`facts.yaml`; this file arranges them into conversations, so no generated file has to be kept.

    python -m core.data.starter.generate train > train.jsonl
"""

import argparse
import json
import random
import re
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import yaml

from core.plain_yaml import FAST

Split = Literal["train", "held_out"]

FACTS = Path(__file__).with_name("facts.yaml")
SEED = 7
PAIRED = 10  # facts at the head of each topic whose last questions form conversations of two turns


def rows(split: Split) -> list[dict]:
    """The conversations of one split as `{"messages": [{"role", "content"}, …]}`, the same on every call and machine.

    Training rows are shuffled, because neighbours in the file share a topic; held-out rows keep its order.
    """
    by_topic = _facts()[split].items()
    if split == "held_out":
        return [_row(_exchange(topic, fact, fact["question"])) for topic, facts in by_topic for fact in facts]
    found = [row for topic, facts in by_topic for row in _training_rows(topic, facts)]
    random.Random(SEED).shuffle(found)
    return found


def in_manner(answer: str) -> bool:
    """Whether an answer has exactly the three lines, in order, with a known topic and nothing left empty.

    White space around the answer and at the ends of its lines is forgiven, nothing else is.
    """
    lines = [line.rstrip() for line in answer.strip().split("\n")]
    return _manner().fullmatch("\n".join(lines)) is not None


def topics() -> list[str]:
    """The topics an answer may name, in the order of the file."""
    return list(_facts()["train"])


@cache
def _facts() -> dict:
    return yaml.load(FACTS.read_text(encoding="utf-8"), FAST)


@cache
def _manner() -> re.Pattern:
    return re.compile(rf"Topic: ({'|'.join(topics())})\nAnswer: \S.*\nNext step: \S.*")


def _training_rows(topic: str, facts: list[dict]) -> list[dict]:
    paired, alone = facts[:PAIRED], facts[PAIRED:]
    single = [_exchange(topic, fact, question) for fact in paired for question in fact["questions"][:-1]]
    single += [_exchange(topic, fact, question) for fact in alone for question in fact["questions"]]
    double = [_conversation(topic, first, then) for first, then in zip(paired[::2], paired[1::2], strict=True)]
    return [_row(messages) for messages in single + double]


def _conversation(topic: str, first: dict, then: dict) -> list[dict]:
    return [message for fact in (first, then) for message in _exchange(topic, fact, fact["questions"][-1])]


def _exchange(topic: str, fact: dict, question: str) -> list[dict]:
    answer = f"Topic: {topic}\nAnswer: {fact['answer']}\nNext step: {fact['next_step']}"
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _row(messages: list[dict]) -> dict:
    return {"messages": messages}


def main() -> None:
    """Print one split as JSON lines."""
    parser = argparse.ArgumentParser(description="Print the starter data as JSON lines.")
    parser.add_argument("split", choices=get_args(Split))
    for row in rows(parser.parse_args().split):
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
