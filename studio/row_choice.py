"""Which row is looked at: leaf, search, jump and go to a number. The row stays chosen while the list around it changes."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import streamlit as st

from core.data.preview import Prepared, SourceView
from studio import session
from studio.layout import row, split

ALL = "all rows"
MOST_HITS = 200


@dataclass(frozen=True)
class RowChoice:
    """The rows of one data set of a prepared set, and which of them a person has asked for."""

    prepared: Prepared
    source: int
    view: SourceView

    def key(self, part: str) -> str:
        return f"viewer:{part}:{self.prepared.files.folder.name}:{self.source}"

    @property
    def sought(self) -> str:
        return (session.widget_value(self.key("search")) or "").strip()

    @property
    def fate(self) -> str:
        return session.widget_value(self.key("fate")) or ALL

    @cached_property
    def listed(self) -> Sequence[int]:
        """The numbers of the rows to leaf through, in order."""
        found = _hits(self.prepared, self.source, self.sought) if self.sought else range(len(self.view))
        if self.fate == ALL:
            return found
        of_fate = self.view.of_fate(self.fate)
        return sorted(set(of_fate).intersection(found)) if self.sought else of_fate

    @property
    def number(self) -> int | None:
        """The row that is shown: the chosen one where it is listed, else the first that is."""
        chosen, listed = session.recall(self.key("row"), 0), self.listed
        return chosen if chosen in listed else next(iter(listed), None)

    def choose(self, number: int) -> None:
        session.remember(self.key("row"), number)
        self.arrows_anew()

    def arrows_anew(self) -> None:
        """The arrows know their own place only: where the row or the list changes elsewhere, they are another widget."""
        session.remember(self.key("elsewhere"), session.recall(self.key("elsewhere"), 0) + 1)

    def leafed_to(self, page: int) -> None:
        session.remember(self.key("row"), self.listed[page - 1])

    def jump(self, find: Callable[[], int]) -> None:
        """To a row among all rows, so whatever narrowed them is taken back."""
        session.show_in(self.key("search"), "")
        session.show_in(self.key("fate"), ALL)
        self.choose(find())

    def draw_lot(self) -> None:
        """Another row of those listed."""
        others = len(self.listed) - 1
        if others > 0:
            place = random.randrange(others)
            self.choose(self.listed[place + (place >= self.listed.index(self.number))])


@lru_cache(maxsize=16)
def _hits(prepared: Prepared, source: int, sought: str) -> list[int]:
    return prepared.view(source).search(sought, MOST_HITS)


def narrow(choice: RowChoice, places: Sequence[Any]) -> None:
    """Which rows, by their fate and by words in them: a list and a search field, each in its place."""
    counts = {ALL: len(choice.view), **choice.view.fate_counts()}
    of_fates, search = places
    of_fates.selectbox(
        "Rows",
        list(counts),
        format_func=lambda fate: f"{fate.capitalize()} ({counts[fate]:,})",
        label_visibility="collapsed",
        key=choice.key("fate"),
        on_change=choice.arrows_anew,
    )
    search.text_input(
        "Search",
        placeholder="Search in the rows",
        icon=":material/search:",
        label_visibility="collapsed",
        key=choice.key("search"),
        on_change=choice.arrows_anew,
    )


def jumps(choice: RowChoice) -> None:
    """Buttons to the rows worth a look, and the place among those listed."""
    view, alone = choice.view, len(choice.listed) < 2
    uncut = view.most_truncated() is None
    with split(gap="xxsmall"):
        with row(gap="small", width="content"):
            _jump("Longest", "expand", choice, view.longest)
            _jump("Shortest", "compress", choice, view.shortest)
            why = "No row of this data set loses an answer to the cut." if uncut else None
            _jump("Most cut", "content_cut", choice, view.most_truncated, disabled=uncut, help=why)
            _button("Random", "shuffle", choice, disabled=alone, on_click=choice.draw_lot)
        st.caption(place(choice), width="content")


def _jump(label: str, icon: str, choice: RowChoice, find: Callable[[], int], **button: Any) -> None:
    _button(label, icon, choice, on_click=choice.jump, args=(find,), **button)


def _button(label: str, icon: str, choice: RowChoice, **button: Any) -> None:
    st.button(label, icon=f":material/{icon}:", type="tertiary", key=choice.key(label), **button)


def place(choice: RowChoice) -> str:
    """37 of 1,000 rows; 3 of 12 rows that hold it; of 200+ where there are more."""
    listed = choice.listed
    if not listed:
        return "0 rows"
    more = "+" if choice.sought and len(listed) == MOST_HITS else ""
    what = " that hold it" if choice.sought else ""
    rows = "row" if len(listed) == 1 else "rows"
    return f"{listed.index(choice.number) + 1:,} of {len(listed):,}{more} {rows}{what}"


def leaf(choice: RowChoice) -> None:
    """The row's number in the source, which can be typed, and the arrows."""
    number, key = choice.number, choice.key("go to")
    if number is not None:
        session.show_in(key, choice.view.row_of(number))
    st.markdown(":gray[:small[Row]]", width="content")
    st.number_input(
        "Go to row: its line or number in the data set",
        min_value=1,
        step=1,
        label_visibility="collapsed",
        width=84,
        key=key,
        on_change=_go_to,
        args=(choice, key),
    )
    _arrows(choice, f"{choice.key('arrows')}:{session.recall(choice.key('elsewhere'), 0)}")


def _go_to(choice: RowChoice, key: str) -> None:
    wanted = session.widget_value(key)
    choice.jump(lambda: choice.view.at(wanted))


def _arrows(choice: RowChoice, key: str) -> None:
    st.pagination(
        max(1, len(choice.listed)),
        default=1 if choice.number is None else choice.listed.index(choice.number) + 1,
        max_visible_pages=0,
        key=key,
        disabled=len(choice.listed) < 2,
        on_change=_leaf_to,
        args=(choice, key),
    )


def _leaf_to(choice: RowChoice, key: str) -> None:
    choice.leafed_to(session.widget_value(key))
