"""Which runs the table shows, and in which order: a search, pills, tags, a model, a sorting."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.jobs.status import Status
from studio.layout import row
from studio.run_row import RunRow

KINDS: dict[str, Callable[[RunRow], bool]] = {
    "Active": lambda run: run.status.live,
    "Finished": lambda run: run.status in (Status.FINISHED, Status.STOPPED),
    "Needs attention": lambda run: run.needs_attention,
}
BEST = "Best held-out loss"
ORDERS: dict[str, Callable[[RunRow], Any] | None] = {
    "Newest": None,
    BEST: lambda run: run.rank_by_loss,
    "Longest": lambda run: -run.duration_s,
    "Name": lambda run: run.name.casefold(),
}
ALL_MODELS = "All models"
HIDDEN: dict[str, Any] = {"label_visibility": "collapsed", "persist_state": "session"}


@dataclass(frozen=True)
class Filters:
    """What was asked for; a run has to satisfy all of it, of kinds and tags any one."""

    words: tuple[str, ...]
    kinds: tuple[str, ...]
    tags: frozenset[str]
    model: str
    order: str

    def applied(self, runs: list[RunRow]) -> list[RunRow]:
        """Those that match, in the order asked for; `runs` come newest first."""
        found = [run for run in runs if self._matches(run)]
        order = ORDERS[self.order]
        return sorted(found, key=order) if order else found

    def _matches(self, run: RunRow) -> bool:
        return (
            all(word in run.searched for word in self.words)
            and (not self.kinds or any(KINDS[kind](run) for kind in self.kinds))
            and (not self.tags or not self.tags.isdisjoint(run.about.tags))
            and self.model in (ALL_MODELS, run.model)
        )


def filters(runs: list[RunRow]) -> Filters:
    """A line of widgets; tags only where there are any."""
    with row(gap="small"):
        search = st.text_input(
            "Search runs", placeholder="Search runs", icon=":material/search:", width=164, key="runs:search", **HIDDEN
        )
        kinds = st.pills("Status", list(KINDS), selection_mode="multi", key="runs:kinds", **HIDDEN)
        tags = _tags(runs)
        models = sorted({run.model for run in runs if run.model}, key=str.casefold)
        model = st.selectbox("Model", [ALL_MODELS, *models], width=150, key="runs:model", **HIDDEN)
        order = st.selectbox("Sort by", list(ORDERS), icon=":material/sort:", width=178, key="runs:order", **HIDDEN)
    return Filters(tuple((search or "").lower().split()), tuple(kinds), frozenset(tags), model, order)


def tags_of(runs: list[RunRow]) -> list[str]:
    """Every tag that a run has, each once."""
    return sorted({tag for run in runs for tag in run.about.tags}, key=str.casefold)


def _tags(runs: list[RunRow]) -> list[str]:
    known = tags_of(runs)
    if not known:
        return []
    return st.multiselect("Tags", known, placeholder="All tags", width=150, key="runs:tags", **HIDDEN)
