"""The evaluation as one self-contained HTML file: tables, plots as inline SVG, no script, no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from app.evaluation import CurvePair, DoctorScore, Score

# Colour-blind safe (Okabe and Ito 2008), and told apart by marks and dashes as well.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 4", "1 4", "12 4")
_WIDTH, _HEIGHT = 680, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 190, 16, 46
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1f2430}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .8rem;border-bottom:1px solid #d7dbe2;"
    "text-align:right}th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}"
    "caption{text-align:left;color:#4a5263}.note{color:#4a5263}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a plot: points (x, mean, low, high)."""

    name: str
    points: list[tuple[float, float, float, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """All that an evaluation found."""

    cells: int
    slides: int
    classes: int
    chance: float
    scores: Sequence[Score]
    doctors: Sequence[DoctorScore]
    active: Sequence[CurvePair]
    seeds: int
    blind: str | None = None
    """What the study's own suggestions are worth on its blind test set."""


def render(findings: Findings) -> str:
    """Return the report as HTML."""
    names = list(dict.fromkeys(score.encoder for score in findings.scores))
    shots = [
        Line(name=name, points=[(s.shots, s.balanced_accuracy, s.low, s.high)
                                for s in findings.scores if s.encoder == name])
        for name in names
    ]  # fmt: skip
    parts = [
        "<h1>How good are suggestions from few labels?</h1>",
        f"<p>{findings.cells} cells of {findings.slides} slides or groups, {findings.classes} classes. Guessing gives "
        f"{findings.chance:.3f}. Train and test never share a slide; {findings.seeds} draws; bands are 95 % intervals "
        "of the mean over draws.</p>",
        "<h2>Labels of each class</h2>",
        line_plot(shots, "labels of each class", chance=findings.chance),
        _shots_table(findings, names),
        '<p class="note">size: width and height of the picture alone. random: the same network without training. '
        "handcrafted: colour, texture and nucleus measures without learning. An encoder that is not above these "
        "has learned nothing that a doctor can use.</p>",
        *(_doctors(findings.doctors) if findings.doctors else []),
        *([f"<h2>Blind test set</h2><p>{escape(findings.blind)}</p>"] if findings.blind else []),
        *(part for pair in findings.active for part in _active(pair, findings.chance)),
        '<p class="note">Research use only. Not a medical device.</p>',
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    title = "CytoJEPA evaluation"
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>{title}</title><style>{_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def line_plot(lines: Sequence[Line], x_label: str, *, chance: float | None = None) -> str:
    """Draw balanced accuracy over a number of labels as an SVG element.

    Args:
        lines: With at least one point each.
        x_label: Words under the horizontal axis.
        chance: Where to draw the line of guessing.
    """
    last = max(point[0] for line in lines for point in line.points)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> str:
        clipped = min(max(y, 0.0), 1.0)
        return f"{_LEFT + x / last * (right - _LEFT):.1f},{bottom - clipped * (bottom - _TOP):.1f}"

    parts = [_axes(last, x_label)]
    if chance is not None:
        (x1, y1), (x2, _) = (place(x, chance).split(",") for x in (0, last))
        parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y1}" stroke="#8a92a3" stroke-dasharray="2 4"/>')
        parts.append(_text(right + 8, float(y1) + 4, "guessing", color="#5d6575"))
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
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="balanced accuracy">{"".join(parts)}</svg>'


def _axes(last: float, x_label: str) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for tenth in range(0, 11, 2):
        y = bottom - tenth / 10 * (bottom - _TOP)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#e4e7ec"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{tenth / 10:.1f}", anchor="end"))
    for quarter in range(5):
        x = _LEFT + quarter / 4 * (right - _LEFT)
        parts.append(_text(x, bottom + 18, f"{last * quarter / 4:.0f}", anchor="middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, x_label, anchor="middle"))
    turned = f'transform="rotate(-90 14 {(_TOP + bottom) / 2:.0f})"'
    parts.append(_text(14, (_TOP + bottom) / 2, "balanced accuracy", anchor="middle", extra=turned))
    return "".join(parts)


def _text(x: float, y: float, words: str, *, anchor: str = "start", color: str = "#1f2430", extra: str = "") -> str:
    shown = words if len(words) <= 22 else f"...{words[-19:]}"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}" fill="{color}" {extra}>'
        f"{escape(shown)}</text>"
    )


def _shots_table(findings: Findings, names: Sequence[str]) -> str:
    by_place = {(s.encoder, s.shots): s for s in findings.scores}
    shots = sorted({score.shots for score in findings.scores})
    rows = []
    for name in names:
        found = (by_place.get((name, count)) for count in shots)
        texts = [f"{s.balanced_accuracy:.3f} ({s.low:.3f} to {s.high:.3f})" if s else "-" for s in found]
        rows.append([name, *texts])
    return _table(["encoder", *(f"{count} labels" for count in shots)], rows)


def _doctors(scores: Sequence[DoctorScore]) -> list[str]:
    rows = [[s.encoder, str(s.labels), f"{s.balanced_accuracy:.3f} ({s.low:.3f} to {s.high:.3f})"] for s in scores]
    return [
        "<h2>The doctors' labels of this study</h2>",
        _table(["encoder", "labels", "balanced accuracy on untouched slides"], rows),
    ]


def _active(pair: CurvePair, chance: float) -> list[str]:
    lines = [
        Line(name=name, points=[(n, *point) for n, point in zip(pair.labels, points, strict=True)])
        for name, points in (("active queue", pair.active), ("at random", pair.random))
    ]
    needed = [["active queue", _count(pair.active_labels_needed)], ["at random", _count(pair.random_labels_needed)]]
    parts = [
        f"<h2>Active against random: {escape(pair.encoder)}</h2>",
        line_plot(lines, "labels asked", chance=chance),
        _table(["queue", f"labels for 95 % of {pair.all_labels:.3f} (all labels)"], needed),
    ]
    if pair.rare_classes:
        parts.append(
            f"<p>Cells of rare classes ({escape(', '.join(pair.rare_classes))}) among the first "
            f"{pair.labels[-1]} labels: {pair.rare_found_active:.1f} active, "
            f"{pair.rare_found_random:.1f} at random.</p>"
        )
    return parts


def _count(labels: int | None) -> str:
    return "not reached" if labels is None else str(labels)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
