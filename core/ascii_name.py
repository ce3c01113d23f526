"""Names in the letters that the Hub, archives and every file system take."""

import re
from hashlib import sha256
from unicodedata import category, combining, normalize

# As they are spelt where a keyboard has them not; what is only a mark on a letter is left away.
LETTERS = "ä ö ü Ä Ö Ü ß æ Æ œ Œ ø Ø ł Ł đ Đ ı þ Þ ð Ð"
SPELLINGS = "ae oe ue Ae Oe Ue ss ae Ae oe Oe o O l L d D i th Th d D"
ACCENTS = {chr(code) for code in range(0x300, 0x370)}  # that no letter has been made with
SPELT = str.maketrans(dict(zip(LETTERS.split(), SPELLINGS.split(), strict=True)))


def spelt(name: str) -> str:
    """Müller as Mueller, café as cafe; letters of other scripts stay."""
    return "".join(map(_plain, normalize("NFC", name).translate(SPELT)))


def _plain(sign: str) -> str:
    """A Latin letter without its marks; any other sign as it is, for и is another letter than й."""
    found = "".join(part for part in normalize("NFKD", sign) if not combining(part))
    of_latin = found.isascii() if found else sign in ACCENTS
    return found if of_latin else sign


def of_a_word(sign: str) -> bool:
    """Whether it is a letter or digit of any script, or a mark that belongs to one."""
    return sign.isalnum() or category(sign).startswith("M")


def repository_name(name: str, otherwise: str) -> str:
    """A name as the Hub takes it. Where letters of other scripts are lost, a hash keeps two such names apart."""
    plain = spelt(name)
    dashed = re.sub(r"[-.]{2,}", "-", re.sub(r"[^A-Za-z0-9._-]+", "-", plain))
    kept = dashed.strip("-.")[:80].rstrip("-.") or otherwise
    lost = any(sign.isalnum() and not sign.isascii() for sign in plain)
    return f"{kept}-{sha256(name.encode()).hexdigest()[:6]}" if lost else kept
