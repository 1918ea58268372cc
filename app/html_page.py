"""Pages that leave the program as one file: tables and plots as inline SVG, no script, no network.

They follow the reader's light or dark setting, and print in ink on paper.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

# Colour-blind safe (Okabe and Ito 2008), and told apart by marks and dashes as well.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a7f8a")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 4", "1 4", "12 4")
_WIDTH, _HEIGHT = 680, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 190, 16, 46
_INK = "--ink:#1f2430;--soft:#4a5263;--line:#d7dbe2;--grid:#e4e7ec;--paper:#fff;"
_NIGHT = "--ink:#e8e9ec;--soft:#aab0bd;--line:#3b414d;--grid:#2b303a;--paper:#15181e;"
_STYLE = (
    f":root{{color-scheme:light dark;{_INK}}}@media (prefers-color-scheme:dark){{:root{{{_NIGHT}}}}}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:var(--ink);"
    "background:var(--paper)}h1{line-height:1.2;margin:0 0 .3em}h2{margin:2.2rem 0 .5rem;line-height:1.25}"
    "table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums;font-size:.93em}"
    "th,td{padding:.25rem .7rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}td{white-space:nowrap}"
    "table.words th,table.words td{text-align:left}table.words td+td{white-space:normal;overflow-wrap:anywhere}"
    "svg{max-width:100%;height:auto;display:block}svg text{fill:var(--ink)}"
    "svg .grid{stroke:var(--grid)}svg .soft{stroke:var(--soft)}caption{text-align:left;color:var(--soft)}"
    ".note{color:var(--soft)}.wide{overflow-x:auto}code{overflow-wrap:anywhere}"
    # On paper the page is white, whatever the screen is, and nothing is cut in two.
    f"@page{{size:A4;margin:16mm 15mm}}@media print{{:root{{color-scheme:light;{_INK}}}body{{font-size:10pt;margin:0;"
    "padding:0;max-width:none}h2{break-after:avoid;margin-top:1.2rem}svg,tr,li{break-inside:avoid}"
    "p.note{orphans:3;widows:3}thead{display:table-header-group}.wide{overflow:visible}"
    "table{font-size:8.5pt}th,td{padding:.15rem .4rem}}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a plot: points (x, mean, low, high)."""

    name: str
    points: list[tuple[float, float, float, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Axes:
    """What a plot's axes say; the vertical one always goes from 0 to 1."""

    x: str
    y: str = "balanced accuracy"
    x_end: float | None = None
    """Right end of the horizontal axis; None: the last point."""
    decimals: int = 0
    """Of the numbers at the horizontal axis."""
    chance: float | None = None
    """Where to draw the line of guessing."""
    has_diagonal: bool = False
    """Draw the line on which both axes are equal, for an axis from 0 to 1."""


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole HTML page made of pieces of HTML."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, is_words: bool = False) -> str:
    """Return a table of texts; numbers stand to the right unless it is one of words."""
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    kind = ' class="words"' if is_words else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def note(words: str) -> str:
    """Return a paragraph in a quieter colour."""
    return f'<p class="note">{escape(words)}</p>'


def line_plot(lines: Sequence[Line], axes: Axes) -> str:
    """Draw shares from 0 to 1 over a number as an SVG element.

    Args:
        lines: With at least one point each.
        axes: What the axes say.
    """
    last = axes.x_end or max(point[0] for line in lines for point in line.points)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> str:
        clipped = min(max(y, 0.0), 1.0)
        return f"{_LEFT + x / last * (right - _LEFT):.1f},{bottom - clipped * (bottom - _TOP):.1f}"

    parts = [_axes(last, axes), *_guides(axes, place)]
    for number, line in enumerate(lines):
        color, dash = _COLORS[number % len(_COLORS)], _DASHES[number % len(_DASHES)]
        band = [place(x, high) for x, _, _, high in line.points] + [place(x, low) for x, _, low, _ in line.points[::-1]]
        parts.append(f'<polygon points="{" ".join(band)}" fill="{color}" opacity="0.15"/>')
        path = " ".join(place(x, mean) for x, mean, _, _ in line.points)
        style = f'fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{path}" {style}/>')
        if len(line.points) <= 12:
            marks = (place(x, mean).split(",") for x, mean, _, _ in line.points)
            parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>' for x, y in marks]
        y = _TOP + 14 + 20 * number
        parts.append(f'<line x1="{right + 8}" y1="{y - 4}" x2="{right + 36}" y2="{y - 4}" {style}/>')
        parts.append(_text(right + 42, y, line.name))
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(axes.y)}">{"".join(parts)}</svg>'


def _guides(axes: Axes, place: Callable[[float, float], str]) -> list[str]:
    parts = []
    right = _WIDTH - _RIGHT
    if axes.chance is not None:
        _, y = place(0, axes.chance).split(",")
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}" class="soft" stroke-dasharray="2 4"/>')
        parts.append(_text(right + 8, float(y) + 4, "guessing"))
    if axes.has_diagonal:
        (x1, y1), (x2, y2) = place(0, 0).split(","), place(1, 1).split(",")
        parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="soft" stroke-dasharray="2 4"/>')
    return parts


def _axes(last: float, axes: Axes) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for tenth in range(0, 11, 2):
        y = bottom - tenth / 10 * (bottom - _TOP)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="grid"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{tenth / 10:.1f}", anchor="end"))
    for quarter in range(5):
        x = _LEFT + quarter / 4 * (right - _LEFT)
        parts.append(_text(x, bottom + 18, f"{last * quarter / 4:.{axes.decimals}f}", anchor="middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, axes.x, anchor="middle"))
    turned = f'transform="rotate(-90 14 {(_TOP + bottom) / 2:.0f})"'
    parts.append(_text(14, (_TOP + bottom) / 2, axes.y, anchor="middle", extra=turned))
    return "".join(parts)


def _text(x: float, y: float, words: str, *, anchor: str = "start", extra: str = "") -> str:
    shown = words if len(words) <= 22 or anchor == "middle" else f"...{words[-19:]}"
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}" {extra}>{escape(shown)}</text>'
