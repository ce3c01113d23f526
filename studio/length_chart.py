"""How long the examples are, in tokens, with the line where they are cut."""

from itertools import pairwise
from typing import Any

from studio import charts, words

HEIGHT = 330


def length_chart(report: dict[str, Any]) -> None:
    alt = (
        f"{report['cut_rows']:,} of {report['usable_rows']:,} examples are longer than {report['max_length']:,} tokens"
    )
    charts.show(length_figure(report), alt=alt, key="lengths")


def length_figure(report: dict[str, Any]) -> dict[str, Any]:
    """Bars on a logarithmic axis: kept in blue, longer than the limit in orange."""
    edges, counts = report["lengths"]["edges"], report["lengths"]["counts"]
    limit = report["max_length"]
    layout = charts.frame(HEIGHT, left=34, top=20)
    layout |= {"bargap": 0.08, "hovermode": "closest"}
    layout["yaxis"] |= _count_axis(max(counts, default=1))
    longest = edges[-1] if edges else 1
    near = limit <= 2 * longest
    last = max(longest, limit) if near else longest
    layout["xaxis"] |= _token_axis(last)
    _mark_limit(layout, limit, last if not near else None)
    return {"data": [_bars(edges, counts, limit)], "layout": layout}


def _bars(edges: list[float], counts: list[int], limit: int) -> dict[str, Any]:
    colours = charts.palette()
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    spans = [f"{low:,.0f} to {high:,.0f} tokens" for low, high in pairwise(edges)]
    return {
        "type": "bar",
        "x": middles,
        "y": [count or None for count in counts],  # a logarithm of nothing
        "width": [0.92 * (high - low) for low, high in pairwise(edges)],
        "marker": {"color": [colours.held_out if middle > limit else colours.train for middle in middles]},
        "customdata": spans,
        "hovertemplate": "%{customdata}: %{y:,} examples<extra></extra>",
    }


def _count_axis(most: int) -> dict[str, Any]:
    ticks = [10**power for power in range(7) if 10**power <= most * 1.5]
    texts = [f"{tick // 1000}k" if tick >= 1000 else str(tick) for tick in ticks]
    top = len(str(most)) if most else 1
    return {"type": "log", "range": [-0.3, min(top, 7) - 0.0], "tickvals": ticks, "ticktext": texts}


def _token_axis(last: float) -> dict[str, Any]:
    ticks = charts.nice_ticks(0, last, wanted=4)
    texts = [words.whole(tick) for tick in ticks]
    texts[-1] += " tokens"
    return {"range": [0, last * 1.02], "tickvals": ticks, "ticktext": texts}


def _mark_limit(layout: dict[str, Any], limit: int, edge: float | None) -> None:
    """A dashed line at the limit; where that is far off, an arrow towards it at the right edge."""
    colour = charts.palette().axis
    if edge is None:
        line = {"color": colour, "width": 1.4, "dash": "dash"}
        layout["shapes"] = [{"type": "line", "x0": limit, "x1": limit, "y0": 0, "y1": 1, "yref": "paper", "line": line}]
    layout["annotations"] = [
        {
            "x": edge or limit,
            "y": 1,
            "yref": "paper",
            "xanchor": "right" if edge or limit > 0.8 * layout["xaxis"]["range"][1] else "left",
            "yanchor": "bottom",
            "text": f"limit {limit:,}" + (" →" if edge else ""),
            "showarrow": False,
            "font": {"size": 11, "color": colour},
        }
    ]
