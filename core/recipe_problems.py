"""What is wrong with a recipe, in words: one sentence for each of pydantic's findings."""

from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

LIMITS = {
    "greater_than": "{given} is too small, it must be more than {gt}",
    "greater_than_equal": "{given} is too small, it must be at least {ge}",
    "less_than": "{given} is too large, it must be less than {lt}",
    "less_than_equal": "{given} is too large, it must be at most {le}",
    "literal_error": "{given} is not one of {expected}",
    "model_type": "{given} is not a group of `key: value` lines",
    "too_short": "at least one is needed",
}


def sentence(problem: ErrorDetails, recipe: type[BaseModel]) -> str:
    """`key.path: what is wrong, and what would be right.`"""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    return f"{path}: {_said(problem, recipe).rstrip('.')}."


def _said(problem: ErrorDetails, recipe: type[BaseModel]) -> str:
    given = _short(repr(problem["input"]))
    if problem["type"] == "extra_forbidden":
        return f"unknown key; known here: {', '.join(_section(problem['loc'], recipe).model_fields)}"
    if problem["type"] == "string_pattern_mismatch":
        return f"{given} is not usable here. {_description(problem['loc'], recipe)}"
    if problem["type"] in LIMITS:
        return LIMITS[problem["type"]].format(given=given, **problem.get("ctx", {}))
    message = problem["msg"]
    return f"{given} does not fit, {message[0].lower()}{message[1:]}"


def _section(loc: tuple[int | str, ...], recipe: type[BaseModel]) -> type[BaseModel]:
    """The section in which the last key of a path stands."""
    section = recipe
    for part in loc[:-1]:
        if isinstance(part, str):
            annotation = section.model_fields[part].annotation
            section = (get_args(annotation) or (annotation,))[0]
    return section


def _description(loc: tuple[int | str, ...], recipe: type[BaseModel]) -> str:
    field: Any = _section(loc, recipe).model_fields.get(str(loc[-1]))
    return field.description if field else "Use one line of text"


def _short(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
