"""Text from people and recipes in the Hub's Markdown: nothing in it becomes markup, a link, a table or HTML."""

import re
from collections.abc import Iterable

# The last parts: what begins a list or a heading, an address that would become a link, a numbered list.
SPECIAL = re.compile(r"([\\`*_{}\[\]!|~$@]|^[-+#=]|:(?=/)|(?<=www)\.|(?<=^\d)[.)])")
HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def plain(text: str) -> str:
    """On one line, with every character escaped that GitHub-flavoured Markdown would act on."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split())).translate(HTML)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], numbers: bool = True) -> str:
    """A table of cells that are Markdown already; from the second column on they are `numbers`, on the right."""
    rule = ("---", *["---:" if numbers else "---"] * (len(head) - 1))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def fenced(text: str, language: str) -> str:
    """A block of code with a fence that is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
