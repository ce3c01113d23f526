"""An adapter as others can load it: its two files, with the base's name on the Hub in them, and its tokenizer."""

import json
import shutil
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from core import home
from core.errors import JobError
from core.files import read_json, write_whole
from core.hub.facts import Facts
from core.inference.choices import ADAPTER_FILES


def write_adapter(facts: Facts, source: Path, target: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write it into a folder that is there; raises JobError where the run's own files are missing."""
    if missing := [name for name in ADAPTER_FILES if not (source / name).is_file()]:
        raise JobError(f"{source} has no {missing[0]}, so there is no adapter in it. Choose another checkpoint.")
    tokenizer.save_pretrained(target)
    for name in ADAPTER_FILES:
        shutil.copy2(source / name, target / name)
    _name_the_base(facts, home.adapter_config(target))


def _name_the_base(facts: Facts, file: Path) -> None:
    """As others know it, at the very commit it was trained on; PEFT loads it by these two."""
    named = {"base_model_name_or_path": facts.base or facts.recipe.model.source, "revision": facts.base_commit}
    config = read_json(file) or {}
    write_whole(file, json.dumps(config | named | {"inference_mode": True}, indent=1))
