"""Recipe fields as widgets: label, help, limits and options come from the field, the value from the draft.

Every widget mirrors the draft, so there is one truth: a change goes into the draft by a callback before the page is
drawn, and whatever the draft refuses springs back.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.recipe import Recipe, value_at
from studio import draft, session

Write = Callable[[Any], str]


def field(path: str) -> FieldInfo:
    """The field at a key path; numbers in the path are places in a list."""
    model: Any = Recipe
    for part in (part for part in path.split(".") if not part.isdigit()):
        info = model.model_fields[part]
        model = next((kind for kind in _kinds(info) if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return info


def limits(info: FieldInfo) -> tuple[Any, Any]:
    """The smallest and the largest value; a limit that is itself excluded is refused by the recipe, in words."""
    bounds = {name: getattr(m, name) for m in info.metadata for name in ("ge", "gt", "le", "lt") if hasattr(m, name)}
    return bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))


def options(info: FieldInfo) -> list[Any]:
    """The values of a field that has only a few."""
    return next(list(get_args(kind)) for kind in _kinds(info) if get_origin(kind) is Literal)


def number(path: str, step: float = 1, write: str | None = None, empty: str | None = None, place: str = "") -> None:
    """A number with its limits; `empty` says what it means to leave an optional one out.

    `place` tells it from the same field on another page: to Streamlit one key on two pages is two widgets, and a change
    of the one would be read from the other.
    """
    info = field(path)
    optional, kind = type(None) in _types(info), int if int in _types(info) else float
    low, high = (kind(limit) if limit is not None else None for limit in limits(info))
    st.number_input(
        info.title,
        min_value=low,
        max_value=high,
        value=None if optional else kind(value_at(session.draft(), path)),  # to which an emptied widget goes back
        step=kind(step),
        format=write,
        placeholder=empty,
        **_bound(path, place=place),
    )


def text(path: str, empty: str | None = None) -> None:
    """One line of text; empty means none, where the field allows it."""
    st.text_input(field(path).title, value=None, placeholder=empty, **_bound(path))


def long_text(path: str, empty: str | None = None) -> None:
    """Several lines of text; empty means none, where the field allows it."""
    st.text_area(field(path).title, value=None, placeholder=empty, **_bound(path))


def switch(path: str) -> None:
    """On or off."""
    st.toggle(field(path).title, **_bound(path))


def choice(path: str, names: dict[Any, str] | None = None) -> None:
    """A few values side by side."""
    st.segmented_control(
        field(path).title,
        options(field(path)),
        required=True,
        format_func=_name(names),
        width="stretch",
        **_bound(path),
    )


def select(path: str, names: dict[Any, str] | None = None, values: list[Any] | None = None) -> None:
    """A few values in a list: the field's, or those that are given, where an empty text is none."""
    known = values or options(field(path))
    st.selectbox(field(path).title, known, format_func=_name(names), **_bound(path, none="" if values else None))


def several(path: str, names: Iterable[Any]) -> None:
    """Any number of values; `names` are all there are, or a dictionary with what each is called."""
    called = names if isinstance(names, dict) else {}
    st.pills(
        field(path).title,
        list(names),
        selection_mode="multi",
        format_func=lambda value: called.get(value) or str(value),
        wrap=True,
        **_bound(path),
    )


def slider(path: str, sensible: Iterable[Any], write: Write = str) -> None:
    """Sensible values on a line; whatever else the draft holds takes its place among them."""
    values = sorted({*sensible, value_at(session.draft(), path)})
    st.select_slider(field(path).title, values, format_func=write, **_bound(path))


def _bound(path: str, none: Any = None, place: str = "") -> dict[str, Any]:
    """What ties a widget to its field: the value it shows, what a change does, its help."""
    key, value = f"field:{place}{path}", value_at(session.draft(), path)
    session.show_in(key, none if value is None else value)
    return {"key": key, "help": field(path).description, "on_change": _save, "args": (path, key)}


def _save(path: str, key: str) -> None:
    draft.change_to(lambda: {path: _entered(path, key)})


def _entered(path: str, key: str) -> Any:
    value = session.widget_value(key)
    return None if value == "" and type(None) in _types(field(path)) else value


def _name(names: dict[Any, str] | None) -> Write:
    return lambda value: (names or {}).get(value, str(value).capitalize())


def _types(info: FieldInfo) -> tuple[Any, ...]:
    return get_args(info.annotation) or (info.annotation,)


def _kinds(info: FieldInfo) -> tuple[Any, ...]:
    return (info.annotation, *get_args(info.annotation))
