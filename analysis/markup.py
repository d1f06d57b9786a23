"""Pieces of the page: tables, commands and sections with charts, as HTML."""

from collections.abc import Iterable, Sequence
from html import escape

from analysis.tables import Table

LONG = frozenset({"reason"})


def command(label: str, text: str) -> str:
    """Return a command to copy, under its label."""
    head = f'<div class="label"><span>{escape(label)}</span></div>'
    return f'<div class="command">{head}<pre>{escape(text)}</pre></div>\n'


def table(content: Table, marks: Sequence[str] = (), swatches: Sequence[int] = ()) -> str:
    """Return a table, "" for one without rows.

    `marks` are the classes of its rows; `swatches` are the trials with a colour, best first.
    """
    if not content.rows:
        return ""
    style = ["word" if c in content.left else "" for c in content.columns]
    style = [f"{s} long" if c in LONG else s for c, s in zip(content.columns, style, strict=True)]
    head = _cells("th", content.columns, style)
    lines = []
    for number, row in enumerate(content.rows):
        trial = f' data-trial="{content.trials[number]}"' if content.trials else ""
        mark = f' class="{marks[number]}"' if marks else ""
        cells = _cells("td", row, style)
        if content.trials and content.trials[number] in swatches:
            rank = swatches.index(content.trials[number]) + 1
            dot = f'<i style="background:var(--r{rank})"></i>'
            cells = cells.replace("<td>", f"<td>{dot}", 1)
        lines.append(f"<tr{trial}{mark}>{cells}</tr>")
    rows = "\n".join(lines)
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>\n'


def _cells(tag: str, texts: Iterable[str], styles: Iterable[str]) -> str:
    return "".join(
        f'<{tag} class="{style}">{escape(text)}</{tag}>'
        if style
        else f"<{tag}>{escape(text)}</{tag}>"
        for text, style in zip(texts, styles, strict=True)
    )
