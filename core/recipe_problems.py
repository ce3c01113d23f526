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
    "value_error": "{given} does not fit: {error}",
}

BRANCHES = ("literal[", "list[")


def sentences(problems: list[ErrorDetails], recipe: type[BaseModel]) -> list[str]:
    """One for each problem; of a field that is a word or a list of names, only what is wrong with the one it is."""
    return [sentence(_without_branch(problem), recipe) for problem in problems if not _of_the_other_branch(problem)]


def _branch(problem: ErrorDetails) -> str | None:
    """What pydantic adds to the path of a field with several forms: `literal[…]` or `list[…]`."""
    return next((part for part in problem["loc"] if isinstance(part, str) and part.startswith(BRANCHES)), None)


def _of_the_other_branch(problem: ErrorDetails) -> bool:
    branch, is_list = _branch(problem), isinstance(problem["input"], list)
    return bool(branch) and (problem["type"] == "list_type" or (is_list and branch.startswith("literal[")))


def _without_branch(problem: ErrorDetails) -> ErrorDetails:
    branch = _branch(problem)
    return problem | {"loc": tuple(part for part in problem["loc"] if part != branch)} if branch else problem


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
            inner = (get_args(annotation) or (annotation,))[0]
            if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
                return section
            section = inner
    return section


def _description(loc: tuple[int | str, ...], recipe: type[BaseModel]) -> str:
    fields = _section(loc, recipe).model_fields
    # The path of a list's or a table's entry goes on below its field.
    field: Any = next((fields[part] for part in reversed(loc) if part in fields), None)
    return field.description if field else "Use one line of text"


def _short(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
