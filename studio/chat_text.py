"""What a model wrote, as Markdown that can only format: lists, bold, headings, tables and code stay, nothing else acts.

HTML, links, images, math and Streamlit's directives become text. Code is rebuilt with fences of our own, because a
fence that Markdown sees as closed earlier than we do would let the rest of it through unescaped.
"""

import re

from studio.markdown import JOINER, unlinked

FENCE = re.compile(r"^\s*(`{3,}|~{3,})([^`]*)$")
# One line, no cell border, closed by exactly as many backticks: then Markdown sees the same span as we do.
INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)([^\n|]*?[^`\n|])\1(?!`)")
ACTIVE = re.compile(r"[\\<&\[\]$~`:]")
LIST_ITEM = re.compile(r"^\s*([-*+]|\d+[.)])\s")
NBSP = "\u00a0"


def safe_markdown(text: str) -> str:
    """Escaped Markdown; single line ends stay line ends. An unfinished fence, as while streaming, is closed."""
    done: list[str] = []
    lines = text.replace("\r\n", "\n").expandtabs(4).split("\n")
    while lines:
        if opened := FENCE.match(lines[0]):
            done.append(_code_block(opened, lines))
        else:
            done.append(_line(lines.pop(0)))
    return "\n".join(done)


def _code_block(opened: re.Match[str], lines: list[str]) -> str:
    """Take a fenced block off the lines and write it anew: at the margin, with a fence longer than any inside."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    closing = re.compile(rf"^\s*{re.escape(opened[1][0])}{{{len(opened[1])},}}\s*$")
    lines.pop(0)
    code = []
    while lines and not closing.match(lines[0]):
        line = lines.pop(0)
        code.append(line[min(indent, len(line) - len(line.lstrip())) :])
    if lines:
        lines.pop(0)
    longest = max((len(run) for run in re.findall(r"`+", "\n".join(code))), default=0)
    fence = "`" * max(3, longest + 1)
    language = re.sub(r"[^\w+#-]", "", opened[2].strip().split(" ")[0])
    return "\n".join(["", fence + language, *code, fence, ""])


def _line(line: str) -> str:
    """One line outside code blocks; two spaces at its end make Markdown keep the line end."""
    if not line.strip():
        return ""
    indent = len(line) - len(line.lstrip(" "))
    if indent >= 4 and not LIST_ITEM.match(line):
        line = NBSP * indent + line.lstrip(" ")  # else it would be a code block, where escapes show
    return _escaped(line) + "  "


def _escaped(line: str) -> str:
    parts, end = [], 0
    for code in INLINE_CODE.finditer(line):
        parts += [_text(line[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _text(line[end:])])


def _text(text: str) -> str:
    # Icons are drawn from plain text, escaped or not: an invisible joiner breaks the pattern.
    return ACTIVE.sub(r"\\\g<0>", unlinked(text).replace(":material/", f":{JOINER}material/"))
