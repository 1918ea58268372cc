"""The report of a study as one self-contained HTML file that prints: who labelled what, and how far to trust it.

The same study gives the same bytes: the report is dated by its newest label, not by the clock.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from app.agreement_figures import strange_sentence
from app.html_page import Axes, Line, line_plot, note, page, table
from app.services import Services
from app.study_findings import StudyFindings, Work, gather
from datasets.bethesda import LabelSet
from datasets.files import write_atomically
from labeling.agreement import LITERATURE
from labeling.intervals import Agreement
from labeling.records import IMPORTED

_FEW_CELLS = 20
_FEW_HELD_OUT = 200
_OVERALL = ("kappa", "weighted kappa", "alpha", "Fleiss' kappa")
_CUT = " and above"
_KINDS = {"field": "fields", "slide": "scans", "cells": "groups of single-cell pictures"}
_RESEARCH = "Research use only. Not a medical device; nothing here is a result of a patient."


def write_report(study: Services, path: Path) -> StudyFindings:
    """Compute the study's figures and write them as one HTML file.

    Args:
        study: The open workspace.
        path: The file; appears whole or not at all.

    Returns:
        What the report tells.

    Raises:
        OSError: The file cannot be written.
    """
    findings = gather(study)
    write_atomically(path, render(findings, study.label_set).encode())
    return findings


def render(findings: StudyFindings, label_set: LabelSet) -> str:
    """Return the report as HTML."""
    sections = (_summary, _people, _categories, _agreement, _efficiency, _calibration, _origins, _limits)
    return page("CytoJEPA study report", [part for section in sections for part in section(findings, label_set)])


def _summary(found: StudyFindings, label_set: LabelSet) -> Iterator[str]:
    yield "<h1>Study report</h1>"
    stand = f"as of the label of {found.newest_at[:16].replace('T', ' ')} UTC" if found.newest_at else "without a label"
    yield note(f"{label_set.name}, {stand}. {_RESEARCH}")
    cells = sum(found.cells.values())
    labels = sum(sum(work.categories.values()) for work in found.doctors.values())
    slides = ", ".join(f"{n} {_KINDS.get(kind, kind)}" for kind, n in sorted(found.slides.items())) or "none"
    rows = [
        ["Slides", slides],
        ["Cells", f"{cells} ({', '.join(f'{n} {o}' for o, n in sorted(found.cells.items())) or 'none'})"],
        ["Cells with a doctor's label", f"{found.labelled_cells} of {cells}"],
        ["Current labels of doctors", f"{labels} of {len(found.doctors)} doctors"],
        ["Verdicts", ", ".join(f"{n} of {name}" for name, n in sorted(found.verdicts.items())) or "none"],
        ["Split of exports", _split(found)],
        ["Chain of events", f"{found.events} events, head {found.head}"],
    ]  # fmt: skip
    yield table(["Data", ""], rows, is_words=True)


def _split(found: StudyFindings) -> str:
    sides = ", ".join(f"{name} {number}" for name, number in found.slides_by_split.items())
    return f"{sides or 'none'} (slides; the patient of {found.slides_of_known_patients} is known: theirs stay together)"


def _people(found: StudyFindings, _label_set: LabelSet) -> Iterator[str]:
    yield "<h2>Who labelled</h2>"
    if not found.work:
        yield "<p>Nobody yet.</p>"
        return
    header = ["annotator", "labels", "replaced", "taken back", "median seconds", "as suggested",
              "suggestion seen before", "first", "last"]  # fmt: skip
    yield table(header, [_person(name, work) for name, work in found.work.items()])
    yield note(
        f"Labels: those that stand. Replaced: by a newer label of the same annotator for the same cell. "
        f"{IMPORTED}: came with the data. As suggested: of the labels that had a suggestion; uncertain cells are asked "
        "first, so it understates the suggestions."
    )


def _person(name: str, work: Work) -> list[str]:
    seconds = work.median_seconds
    agreed = f"{work.as_suggested} of {work.with_suggestion}" if work.with_suggestion else "-"
    return [
        name, str(sum(work.categories.values())), str(work.replaced), str(work.taken_back),
        "-" if seconds is None else f"{seconds:.1f}", agreed, str(work.shown_before),
        work.first_at[:10], work.last_at[:10],
    ]  # fmt: skip


def _categories(found: StudyFindings, label_set: LabelSet) -> Iterator[str]:
    if not found.work:
        return
    yield "<h2>What was labelled</h2>"
    used = {category for work in found.work.values() for category in work.categories}
    names = [*label_set.ids, *sorted(used.difference(label_set.ids))]
    rows = [
        [name, *(str(work.categories.get(name, 0) or "-") for work in found.work.values())]
        for name in names if name in used
    ]  # fmt: skip
    yield table(["category", *found.work], rows)


def _agreement(found: StudyFindings, _label_set: LabelSet) -> Iterator[str]:
    yield "<h2>Agreement</h2>"
    figures = found.quality.agreement
    named = [
        (
            name if name in _OVERALL else f"kappa of {name} against {'below' if name.endswith(_CUT) else 'the rest'}",
            "between doctors",
            figures[name],
        )
        for name in sorted(figures, key=lambda name: name not in _OVERALL)
        if name in _OVERALL or figures[name].value is not None
    ]
    named += [(f"kappa, {name} again", "with himself", value) for name, value in found.quality.intra.items()]
    if not named:
        yield "<p>No cell has been decided by two doctors, or twice by one: nothing can be measured yet.</p>"
        return
    yield table(
        ["figure", "of", "value (95 % interval)", "pairs", "cells"],
        [[name, of, _with_interval(x), str(x.pairs), str(x.cells)] for name, of, x in named],
    )
    if found.pairs:
        yield table(
            ["doctors", "same answer", "kappa (95 % interval)", "cells"],
            [[" and ".join(p.doctors), f"{100 * p.same_answer:.0f} %", _with_interval(p.kappa), str(p.kappa.cells)]
             for p in found.pairs],
        )  # fmt: skip
    low, high, what = LITERATURE["inter"]
    yield note(
        f"Kappa and alpha are agreement beyond chance; intervals are bootstrapped over cells. Published for {what}: "
        f"{low} to {high}; the same reader again: {LITERATURE['intra'][0]}. Suggestions seen before the answer raise "
        "agreement and hide errors."
    )


def _with_interval(figure: Agreement) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "-"
    few = ", few cells" if figure.cells < _FEW_CELLS else ""
    value, low, high = (f"{number:z.2f}" for number in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high}){few}"


def _efficiency(found: StudyFindings, _label_set: LabelSet) -> Iterator[str]:
    yield "<h2>What the labels bought</h2>"
    if not found.growth:
        yield "<p>It takes vectors, and labels of two classes on two slides, to say.</p>"
        return
    classes = len(found.probe.classes) if found.probe else 0
    points = [(float(g.labels), g.balanced_accuracy, g.low, g.high) for g in found.growth]
    axes = Axes(x="labels, in the order in which they were given", chance=1 / classes if classes > 1 else None)
    yield line_plot([Line(name="doctors' labels", points=points)], axes)
    rows = [[f"{n:.0f}", f"{mean:.3f} ({low:.3f} to {high:.3f})"] for n, mean, low, high in points]
    yield table(["labels", "balanced accuracy on other slides (95 % interval)"], rows)
    arms = found.quality.arms
    yield "<p>" + (
        "Whether the queue beats chance here cannot be said yet: either kind has fewer than 30 labels." if arms is None
        else f"With {arms.labels} labels each, tested on random cells of other slides: the queue {arms.active:.3f}, "
        f"chance {arms.random:.3f}, difference {arms.difference:+.3f} ({arms.low:+.3f} to {arms.high:+.3f})."
    ) + "</p>"  # fmt: skip
    if found.quality.stop:
        signs = [
            [s.category, f"{s.labels:.0f}", "-" if s.gain is None else f"{s.gain:+.3f} ({s.low:+.3f} to {s.high:+.3f})",
             s.advice] for s in found.quality.stop
        ]  # fmt: skip
        yield table(["category", "labels", "recall gained by 100 more (95 % interval)", "advice"], signs)
    yield note(
        "Tested against the doctors' own labels of slides that the probe has not seen, over ten draws of the slides. "
        "Labelled cells are not a random sample: the queue asks for the hard ones, so the level is lower than on all "
        "cells."
    )


def _calibration(found: StudyFindings, _label_set: LabelSet) -> Iterator[str]:
    yield "<h2>How far probabilities may be believed</h2>"
    if found.blind:
        yield f"<p>{escape(found.blind)}</p>"
    if not found.bins:
        yield "<p>Two classes need labels on two slides each before this can be measured.</p>"
        return
    line = Line(name="suggestions", points=[(b.confidence, b.right, b.low, b.high) for b in found.bins])
    axes = Axes(x="probability that was suggested", y="share that was right", x_end=1.0, decimals=2, has_diagonal=True)
    yield line_plot([line], axes)
    rows = [[f"{b.confidence:.2f}", f"{b.right:.2f} ({b.low:.2f} to {b.high:.2f})", str(b.cells)] for b in found.bins]
    yield table(["probability", "right (95 % interval)", "cells"], rows)
    metrics = found.probe.metrics if found.probe else {}
    if metrics.get("calibration_error") is not None:
        yield (
            f"<p>Balanced accuracy {metrics['balanced_accuracy']:.3f}, expected calibration error "
            f"{metrics['calibration_error']:.3f}, on {metrics['held_out_labels']} labels of slides left out"
            f"{_without_chance(metrics.get('squared_calibration_error'))}.</p>"
        )
    yield note("Below the dashed line a probability promises too much. Slides are left out in turn; the probe that "
               "judges a cell has not seen its slide; classes of a single slide, and cells that doctors call "
               "differently, are not in it.")  # fmt: skip


def _without_chance(squared: float | None) -> str:
    """Chance alone makes the error of few labels large; what is left without it may be believed."""
    if squared is None:
        return ""
    return f"; without what chance between slides adds, {max(0.0, squared) ** 0.5:.3f} (root mean square)"


def _origins(found: StudyFindings, _label_set: LabelSet) -> Iterator[str]:
    yield "<h2>Encoder and probe</h2>"
    rows = []
    if found.store is not None:
        fingerprint, count, dim = found.store
        rows.append(["Encoder", f"fingerprint {fingerprint}: {count} vectors of {dim} numbers"])
    if found.probe is not None:
        probe = found.probe
        rows += [
            ["Probe", f"{probe.id}, on vectors of encoder {probe.encoder_fingerprint}"],
            ["Fitted on", f"{probe.num_labels} labelled cells of {len(probe.classes)} classes "
                          f"({', '.join(probe.classes)}), up to label {probe.last_label_id}"],
            ["Settings", ", ".join(f"{name} {_plain(probe.settings[name])}" for name in sorted(probe.settings))],
        ]  # fmt: skip
    for run in found.runs:
        rows.append([run.name, f"{run.method}, {run.steps} steps, {run.state}; tiles {run.tiles or '-'}; "
                               f"weights {run.weights or '-'}"])  # fmt: skip
    yield table(["", ""], rows, is_words=True) if rows else "<p>No encoder and no probe yet.</p>"


def _limits(found: StudyFindings, _label_set: LabelSet) -> Iterator[str]:
    yield "<h2>Limits</h2>"
    yield "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in limits(found)) + "</ul>"
    yield note(_RESEARCH)


def limits(found: StudyFindings) -> Iterator[str]:
    """Yield what a reader must know before believing the figures: first what this study's numbers say."""
    doctors = found.doctors
    if len(doctors) < 2:
        yield f"{'One doctor' if doctors else 'No doctor'} has labelled: agreement cannot be known."
    elif not found.pairs:
        yield "No two doctors have decided the same cell: agreement cannot be known."
    elif all(pair.kappa.cells < _FEW_CELLS for pair in found.pairs):
        yield f"No two doctors share {_FEW_CELLS} cells: the agreement figures are little more than chance."
    shown = sum(work.shown_before for work in doctors.values())
    if shown:
        yield f"{shown} labels were given with the suggestion on screen before the answer: they are not independent."
    yield from _limits_of_suggestions(found)
    if found.cells_without_scale:
        yield f"{found.cells_without_scale} cells have no known um/px: their sizes cannot be compared with the others."
    if found.probe and found.store and found.probe.encoder_fingerprint != found.store[0]:
        yield "The probe was fitted on vectors of another encoder than the present one: run cytojepa fit."
    yield "A label is an opinion on one cell's picture; no figure here is about a slide or a patient."
    yield "What was never found on a slide was never asked: nothing here says that a slide is negative."
    yield "Scores are of slides left out: where a patient has several slides, cells of theirs may be on both sides."


def _limits_of_suggestions(found: StudyFindings) -> Iterator[str]:
    metrics = found.probe.metrics if found.probe else {}
    if found.probe and not metrics.get("held_out_labels"):
        yield "Too few labels to test the suggestions on slides left out: nothing is known of their quality."
    elif found.probe and metrics["held_out_labels"] < _FEW_HELD_OUT:
        yield f"Calibration rests on {metrics['held_out_labels']} labels: the intervals are wide."
    if found.probe and metrics.get("prior") is None:
        yield "Too few random cells are labelled to know how frequent each class is: probabilities assume equal shares."
    strange = strange_sentence(found.quality.strange)
    if strange is not None:
        yield strange


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
