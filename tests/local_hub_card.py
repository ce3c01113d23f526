"""What the local Hub reads in a README.md: its metadata, and what it finds wrong with it."""

import re

import yaml

# The part of the Hub's list of licences that tests meet; any other must be "other" with a name of its own.
LICENCES = {
    *("apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m", "bigscience-bloom-rail-1.0"),
    *("afl-3.0", "bsd", "bsd-2-clause", "bsd-3-clause", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0"),
    *("cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0"),
    *("gpl", "gpl-2.0", "gpl-3.0", "agpl-3.0", "lgpl", "lgpl-3.0", "unlicense", "odc-by", "odbl", "pddl", "isc"),
    *("llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma", "unknown", "other"),
}
SDKS = ("gradio", "docker", "static", "streamlit")
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*|code|multilingual")
BLOCK = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(\r?\n|\Z)", re.DOTALL)


def metadata(readme: str) -> dict:
    """The YAML block at the top; empty where there is none or it is no mapping."""
    try:
        found = yaml.safe_load(block[1]) if (block := BLOCK.match(readme)) else None
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def warnings(readme: str) -> list[str]:
    return [] if metadata(readme) else ["empty or missing yaml metadata in repo card"]


def errors(readme: str, kind: str) -> list[str]:
    """What the Hub refuses, in its manner; `kind` is model, dataset or space."""
    try:
        found = yaml.safe_load(block[1]) if (block := BLOCK.match(readme)) else {}
    except yaml.YAMLError as error:
        return [f"Invalid YAML: {error}"]
    if not isinstance(found or {}, dict):
        return ['"metadata" must be of type object']
    return _wrong_values(found or {}) + (_wrong_space(found or {}) if kind == "space" else [])


def _wrong_values(found: dict) -> list[str]:
    wrong = []
    for licence in _list(found.get("license")):
        if licence not in LICENCES:
            wrong.append(f'"license" must be one of {sorted(LICENCES)}')
    for name in ("base_model", "datasets"):
        if any(not isinstance(value, str) or not HUB_ID.fullmatch(value) for value in _list(found.get(name))):
            wrong.append(f'"{name}" with value {found[name]!r} is not valid. Use a model id from hf.co/models.')
    if any(not isinstance(value, str) or not LANGUAGE.fullmatch(value) for value in _list(found.get("language"))):
        wrong.append('"language" must only contain lowercase characters: ISO 639-1, 639-2 or 639-3 codes')
    if any(not isinstance(value, str) for value in _list(found.get("tags"))):
        wrong.append('"tags" must be an array of strings')
    if "model-index" in found and not isinstance(found["model-index"], list):
        wrong.append('"model-index" must be an array')
    return wrong


def _wrong_space(found: dict) -> list[str]:
    wrong = [] if found.get("sdk") in SDKS else [f'"sdk" must be one of {list(SDKS)}']
    wrong += [f'"{name}" must be one of {list(COLOURS)}' for name in ("colorFrom", "colorTo")
              if name in found and found[name] not in COLOURS]  # fmt: skip
    if len(str(found.get("short_description", ""))) > 60:
        wrong.append('"short_description" length must be less than or equal to 60 characters long')
    if found.get("sdk") == "gradio" and "sdk_version" in found and not isinstance(found["sdk_version"], str):
        wrong.append('"sdk_version" must be a string')
    return wrong


def _list(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]
