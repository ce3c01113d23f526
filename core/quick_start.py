"""The quick start: the recipe behind the first button a newcomer presses. Minutes on two cores, no account, no Hub."""

from core.recipe import Recipe, parse

# What the starter model takes to fetch, the first time, from the package index.
DOWNLOAD_BYTES = 93_000_000


def quick_start() -> Recipe:
    """The starter model learns the starter data: every answer of a support desk in the same three lines."""
    return parse(
        {
            "name": "fernway-support",
            "data": {"max_length": 256},
            "lora": {"dropout": 0},
            # One epoch is little, so it has to learn fast: at half this rate 30 of 40 held-out answers were in the manner.
            "training": {"learning_rate": 2e-3, "batch": 4, "accumulation": 2, "eval_every": 10},
            "checkpoints": {"every_steps": 10},
        }
    )
