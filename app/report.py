"""The evaluation as one self-contained HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from app.evaluation import CurvePair, DoctorScore, Score
from app.html_page import Axes, Line, line_plot, note, page, table


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
    notes: Sequence[str] = ()
    """Whose the set is, what the figures cannot tell: a sentence each."""


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
        *(note(words) for words in findings.notes),
        "<h2>Labels of each class</h2>",
        line_plot(shots, Axes(x="labels of each class", chance=findings.chance)),
        _shots_table(findings, names),
        note(
            "size: width and height of the picture alone. random: the same network without training. "
            "handcrafted: colour, texture and nucleus measures without learning. An encoder that is not above these "
            "has learned nothing that a doctor can use."
        ),
        *(_doctors(findings.doctors) if findings.doctors else []),
        *([f"<h2>Blind test set</h2><p>{escape(findings.blind)}</p>"] if findings.blind else []),
        *(part for pair in findings.active for part in _active(pair, findings.chance)),
        note("Research use only. Not a medical device."),
    ]
    return page("CytoJEPA evaluation", parts)


def _shots_table(findings: Findings, names: Sequence[str]) -> str:
    by_place = {(s.encoder, s.shots): s for s in findings.scores}
    shots = sorted({score.shots for score in findings.scores})
    rows = []
    for name in names:
        found = (by_place.get((name, count)) for count in shots)
        texts = [f"{s.balanced_accuracy:.3f} ({s.low:.3f} to {s.high:.3f})" if s else "-" for s in found]
        rows.append([name, *texts])
    return table(["encoder", *(f"{count} labels" for count in shots)], rows)


def _doctors(scores: Sequence[DoctorScore]) -> list[str]:
    rows = [[s.encoder, str(s.labels), f"{s.balanced_accuracy:.3f} ({s.low:.3f} to {s.high:.3f})"] for s in scores]
    return [
        "<h2>The doctors' labels of this study</h2>",
        table(["encoder", "labels", "balanced accuracy on untouched slides"], rows),
    ]


def _active(pair: CurvePair, chance: float) -> list[str]:
    lines = [
        Line(name=name, points=[(n, *point) for n, point in zip(pair.labels, points, strict=True)])
        for name, points in (("active queue", pair.active), ("at random", pair.random))
    ]
    needed = [["active queue", _count(pair.active_labels_needed)], ["at random", _count(pair.random_labels_needed)]]
    parts = [
        f"<h2>Active against random: {escape(pair.encoder)}</h2>",
        line_plot(lines, Axes(x="labels asked", chance=chance)),
        table(["queue", f"labels for 95 % of {pair.all_labels:.3f} (all labels)"], needed),
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
