"""Text from people, files and models as text: nothing in it becomes Markdown, a directive, a symbol or HTML."""

import re

SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~$:&-]|(?<=\d)\.(?=\s))")
# Streamlit turns `->`, `--`, `:smile:` and `:material/home:` into symbols even where every character is escaped.
SYMBOLS = re.compile(r"(?<=[-<>=~])(?=[-<>=])|(?<=:)(?=[\w+/-]+:)")
# Addresses become links even where they are escaped: they are looked for in the text that is left.
ADDRESSES = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=[\w.+-])(?=@[\w-]+\.)", re.IGNORECASE)
JOINER = "\u2060"  # has no width; between two characters it keeps them from being read as one symbol


def plain(text: str) -> str:
    """Escape every character that Markdown or Streamlit's directives would act on; line ends become spaces."""
    return SPECIAL.sub(r"\\\1", SYMBOLS.sub(JOINER, " ".join(str(text).split("\n"))))


def plain_lines(text: str) -> str:
    """The same with its lines kept apart."""
    return "  \n".join(plain(line) for line in str(text).splitlines())


def unlinked(text: str) -> str:
    """Without anything that would become a link by itself: for what models write, who make up addresses."""
    return ADDRESSES.sub(JOINER, text)
