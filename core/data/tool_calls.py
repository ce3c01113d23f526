"""Tools and the calls of them, brought into the one form that chat templates read.

    {"type": "function", "id": "only if there was one", "function": {"name": "weather", "arguments": {"city": "Bern"}}}
    {"type": "function", "function": {"name": "weather", "description": "…", "parameters": {JSON schema}}}

Arguments are an object, not text as OpenAI sends them: templates write them out as JSON themselves.
https://huggingface.co/docs/transformers/chat_extras
"""

from typing import Any

from core.data.conversation import RowProblem, kind, text
from core.data.json_value import json_value

Call = dict[str, Any]


def tool_calls(value: Any, what: str) -> list[Call]:
    """The calls of a message, none if it has none; raises RowProblem."""
    found = _listed(value, f"`tool_calls` of {what}")
    return [_call(call, f"tool call {number} of {what}") for number, call in enumerate(found, 1)]


def tools(value: Any, what: str) -> list[dict[str, Any]] | None:
    """The tools of a row, None if it has none; raises RowProblem."""
    found = _listed(value, what)
    return [_tool(tool, f"tool {number} of {what}") for number, tool in enumerate(found, 1)] or None


def _listed(value: Any, what: str) -> list[Any]:
    """A list, or JSON of one; a single object is a list of one."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    found = json_value(value, what)
    if isinstance(found, dict):
        return [found]
    if found is not None and not isinstance(found, list):
        raise RowProblem(f"{what} is {kind(found)} where a list is needed")
    return found or []


def _function(value: Any, what: str) -> dict[str, Any]:
    """What stands under `function`, or the object itself where it has a name of its own."""
    found = json_value(value, what) if isinstance(value, str) else value
    inner = found.get("function", found) if isinstance(found, dict) else found
    if not isinstance(inner, dict):
        raise RowProblem(f"{what} is {kind(inner)} where an object with a name is needed")
    if found.get("type") not in (None, "function") and "function" in found:
        raise RowProblem(f"{what} is of the type {repr(found['type'])[:60]}; only functions are known")
    text(inner.get("name"), f"the name in {what}")
    return inner


def _call(value: Any, what: str) -> Call:
    function = _function(value, what)
    call = {"type": "function", "function": {"name": function["name"], "arguments": _arguments(function, what)}}
    identity = value.get("id") if isinstance(value, dict) else None
    # Some templates insist on the id and pair a tool's answer with it; others never look.
    return call | ({"id": text(identity, f"the id of {what}")} if identity not in (None, "") else {})


def _arguments(function: dict[str, Any], what: str) -> dict[str, Any]:
    given = function.get("arguments")
    found = json_value(given, f"`arguments` of {what}") if isinstance(given, str) and given.strip() else given
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise RowProblem(f"`arguments` of {what} is {kind(found)} where an object is needed")
    return found


def _tool(value: Any, what: str) -> dict[str, Any]:
    return {"type": "function", "function": _function(value, what)}
