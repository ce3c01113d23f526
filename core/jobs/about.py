"""What a person writes on a run: another name, tags, a note. Kept beside the recipe, which never changes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import JobError
from core.files import write_whole
from core.jobs.tail import object_of

LONGEST_NAME, LONGEST_TAG, LONGEST_NOTE, MOST_TAGS = 60, 30, 5000, 12


@dataclass(frozen=True)
class About:
    """Empty where nothing was written."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""


def about_in(path: Path) -> About:
    """What was written; whatever in the file is of another kind is ignored."""
    found = object_of(path) or {}
    name, tags, note = found.get("name"), found.get("tags"), found.get("note")
    texts = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
    return About(name if isinstance(name, str) else "", texts, note if isinstance(note, str) else "")


def write_about(path: Path, about: About) -> None:
    """Keep it; raises JobError where a text is too long or a name has line breaks."""
    tags = tuple(dict.fromkeys(tag.strip() for tag in about.tags if tag.strip()))
    clean = About(about.name.strip(), tags, about.note.strip())
    if problems := _problems(clean):
        raise JobError("\n".join(problems))
    write_whole(path, json.dumps(asdict(clean), indent=1, ensure_ascii=False))


def _problems(about: About) -> list[str]:
    found = []
    if len(about.name) > LONGEST_NAME or not (about.name or "-").isprintable():
        found.append(f"The name has to be one line of at most {LONGEST_NAME} characters.")
    if len(about.tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG or not tag.isprintable() for tag in about.tags):
        found.append(f"At most {MOST_TAGS} tags, each one line of at most {LONGEST_TAG} characters.")
    if len(about.note) > LONGEST_NOTE:
        found.append(f"The note has {len(about.note):,} characters; at most {LONGEST_NOTE:,} are kept.")
    return found
