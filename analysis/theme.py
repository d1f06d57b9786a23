"""How charts look: the same shapes in print colours or in the page's own."""

from dataclasses import dataclass
from typing import Any

ACCENT = "accent"
"""The style of what a chart is about."""
OTHERS = "#8a919c"
"""Trials that are not among the best; a grey that reads on white and on black."""


@dataclass(frozen=True)
class Colours:
    """Colours of one rendering: `ranks` are those of the best five trials, in order."""

    ink: str
    background: str | None
    ranks: tuple[str, str, str, str, str]


PRINT = Colours("#1c2127", "#ffffff", ("#0072b2", "#d55e00", "#009e73", "#b8578f", "#a87900"))
"""For files: dark on white."""
PAGE = Colours(
    "currentColor", None, ("var(--r1)", "var(--r2)", "var(--r3)", "var(--r4)", "var(--r5)")
)
"""For the page: left to its style sheet, so that light, dark and print need no redrawing."""


def config(colours: Colours) -> dict[str, Any]:
    """Return the Vega-Lite configuration of a rendering."""
    text = {"labelColor": colours.ink, "titleColor": colours.ink}
    return {
        "background": colours.background,
        "font": "system-ui, Segoe UI, Helvetica, Arial, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **text,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelOpacity": 0.75,
            "titleOpacity": 0.75,
            "gridColor": colours.ink,
            "gridOpacity": 0.1,
            "domainColor": colours.ink,
            "domainOpacity": 0.4,
            "tickColor": colours.ink,
            "tickOpacity": 0.4,
        },
        "legend": {**text, "labelFontSize": 12, "orient": "top", "title": None, "offset": 8},
        "text": {"color": colours.ink},
        "title": {"color": colours.ink, "fontSize": 12, "fontWeight": "normal", "anchor": "start"},
        "range": {"category": list(colours.ranks)},
        "style": {
            ACCENT: {"color": colours.ranks[0]},
            "ink": {"color": colours.ink},
            "edged": {"stroke": colours.ink},
        },
    }
