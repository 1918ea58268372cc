"""How far the study is, at what pace, how doctors agree, and how good the suggestions are."""

import pandas as pd
import streamlit as st

from app import agreement_figures
from app.agreement_figures import advice_words, figure_words, gain_sentence, read_figures, strange_sentence
from app.theme import ACCENT
from app.views import people, pieces
from app.views.pieces import Bar, ShareLine
from datasets import catalog
from labeling import adjudication, agreement, blindtest, foils
from labeling.bias import Share
from labeling.export.rows import export_rows
from labeling.records import IMPORTED
from labeling.stopping import FEWEST_LABELS, LAST_LABELS
from labeling.study import newest_probe

_PAUSE_SECONDS = 120
"""A longer gap between two labels is a break, not work."""
_FEW_CELLS = 20
_DAYS = 14

person = people.require("progress")
services, tr = people.services(), people.wording()


def hours_and_minutes(seconds: float) -> str:
    """Return a duration in words that suit its length."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(minutes, 1)} min"


def show_counts(labels: pd.DataFrame, cells: int) -> None:
    """Draw counts, pace and the time that is left at that pace."""
    own = labels[labels["annotator"] == person.name]
    gaps = pd.to_datetime(own["made_at"], utc=True).sort_values().diff().dt.total_seconds()
    seconds = gaps[(gaps > 0) & (gaps < _PAUSE_SECONDS)].tail(200).median()
    reads = services.settings.reads
    left = max(0, cells * reads - len(labels))
    values = [(tr("{n} of {all}", n=labels["cell"].nunique(), all=cells), tr("cells with a label"))]
    if person.may("label"):
        values.append((str(len(own)), tr("labels of yours")))
    if seconds == seconds:
        values.append((f"{seconds:.1f} s", tr("for one label of yours (median, breaks left out)")))
        values.append(
            (hours_and_minutes(left * seconds), tr("left at your pace for {n} labels, all doctors together", n=left))
        )
    pieces.figures(values)


def show_categories(labels: pd.DataFrame) -> None:
    """Draw how many labels each answer has."""
    st.subheader(tr("Labels of each answer"))
    counts = labels["category"].value_counts()
    pieces.bars(
        [
            Bar(name=tr(c.name), value=int(counts.get(c.id, 0)), text=str(counts.get(c.id, 0)), color=c.color)
            for c in services.label_set.categories
        ]
    )
    st.caption(
        tr("Current labels of all doctors. An answer with few labels is one that the suggestions know little about.")
    )


def show_days(labels: pd.DataFrame) -> None:
    """Draw the labels of the last days that had any."""
    days = pd.to_datetime(labels["made_at"], utc=True).dt.strftime("%Y-%m-%d").value_counts().sort_index().tail(_DAYS)
    if len(days) > 1:
        st.subheader(tr("Labels by day"))
        pieces.bars([Bar(name=str(day), value=int(n), text=str(n), color=ACCENT) for day, n in days.items()])


def interval(low: float | None, high: float | None) -> str:
    """Return an interval in words."""
    return tr("{low:.2f} to {high:.2f}", low=low, high=high)


def pair_rows(labels: pd.DataFrame) -> list[dict[str, object]]:
    """Return a table row for every two doctors who answered the same cells; annotators get their own pairs."""
    answers = list(zip(labels["cell"], labels["annotator"], labels["category"], strict=True))
    found = []
    of = None if person.may("adjudicate") else person.name
    for pair in agreement_figures.pairs(answers, services.label_set.class_ids, of=of):
        kappa = pair.kappa
        is_defined = kappa.value is not None and kappa.low is not None and kappa.high is not None
        found.append(
            {
                tr("doctors"): tr("{first} and {second}", first=pair.doctors[0], second=pair.doctors[1]),
                tr("cells of both"): kappa.cells, tr("same answer"): f"{100 * pair.same_answer:.0f} %",
                "kappa": f"{kappa.value:.2f}" if is_defined else "-",
                tr("95 % interval"): interval(kappa.low, kappa.high) if is_defined else "-",
                "": tr("few cells") if kappa.cells < _FEW_CELLS else "",
            }
        )  # fmt: skip
    return found


def show_agreement(labels: pd.DataFrame) -> None:
    """Draw how far doctors agree."""
    st.subheader(tr("Agreement between doctors"))
    found = pair_rows(labels)
    if not found:
        st.write(
            tr("No cell has been answered by two doctors yet. Doctors asked about each cell: {reads} (reads in "
               "cytojepa.toml).", reads=services.settings.reads)
        )  # fmt: skip
        return
    st.dataframe(found, hide_index=True)
    low, high, _ = agreement.LITERATURE["inter"]
    st.caption(
        tr("Kappa is agreement beyond chance. Published for cytology, Bethesda categories, unaided readers: {low} to "
           "{high} (weighted 0.39 to 0.81), so 0.45 is no failure.", low=low, high=high)
    )  # fmt: skip


def show_figures() -> None:
    """Draw all figures of agreement that were measured last, each with what it rests on."""
    kept = read_figures(services)
    figures = {name: row for name, row in (kept["agreement"] if kept else {}).items() if row["value"] is not None}
    if figures:
        with st.expander(tr("All figures of agreement")):
            st.dataframe(
                [
                    {tr("figure"): figure_words(name, services.label_set, tr), tr("value"): f"{row['value']:.2f}",
                     tr("pairs"): row["pairs"], tr("cells"): row["cells"],
                     tr("95 % interval"): interval(row["low"], row["high"])}
                    for name, row in figures.items()
                ],
                hide_index=True,
            )  # fmt: skip


def show_review() -> None:
    """Draw how many disagreements are decided."""
    cases = adjudication.cases(services.database, include_imported=False)
    if cases:
        decided = sum(case.verdict is not None for case in cases)
        st.write(tr("{n} cells were answered differently; {decided} have a verdict.", n=len(cases), decided=decided))
        st.page_link("views/review.py", label=tr("Open the review"))


def show_stop() -> None:
    """Draw for each answer whether more labels would change what is suggested: advice, never a stop."""
    kept = read_figures(services)
    if kept is None or not kept["stop"]:
        return
    st.subheader(tr("Would more labels help?"))
    names = {category.id: category.name for category in services.label_set.categories}
    st.dataframe(
        [
            {tr("answer"): tr(names.get(row["category"], row["category"])), tr("labels"): f"{row['labels']:.0f}",
             tr("advice"): advice_words(row["advice"], tr),
             tr("found more by 100 labels"): _points(row["gain"]),
             tr("95 % interval"): "-" if row["gain"] is None
             else tr("{low} to {high}", low=_points(row["low"]), high=_points(row["high"])),
             tr("suggestions that the last {n} labels moved", n=LAST_LABELS): "-" if row["churn"] is None
             else f"{100 * row['churn']:.0f} %"}
            for row in kept["stop"]
        ],
        hide_index=True,
    )  # fmt: skip
    st.caption(
        tr("Found more: how much larger the share of this answer's cells that the suggestions find on slides they have "
           "not seen would get, in percentage points. Below {fewest} labels of an answer nothing is said of it. The "
           "study decides when it ends.", fewest=FEWEST_LABELS)
    )  # fmt: skip


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f}"


def show_care() -> None:
    """Draw how many known cells were noticed in gallery sweeps: one's own, and all doctors' for the team lead."""
    found = foils.care(services.database, services.label_set)
    rows = {who: care for who, care in found.items() if who == person.name or person.may("adjudicate")}
    if not rows:
        return
    st.subheader(tr("Known cells noticed in the gallery"))
    lines = []
    for who, care in rows.items():
        share = Share(care.noticed, care.noticed + care.missed)
        low, high = share.interval
        text = tr("{hits} of {total} noticed ({low:.0f} to {high:.0f} %)", hits=share.hits, total=share.total,
                  low=100 * low, high=100 * high)  # fmt: skip
        lines.append(ShareLine(name=who, value=share.value, interval=share.interval, text=text, color=ACCENT))
    pieces.shares(lines)
    st.caption(
        tr("A few cells of another, known category are mixed into gallery pages. Missed: swept along with the answer "
           "for the rest. The bars are 95 % intervals; a few missed ones among few mean nothing.")
    )  # fmt: skip


def show_suggestions(labels: pd.DataFrame) -> None:
    """Draw how good the suggestions are."""
    st.subheader(tr("Suggestions"))
    probe = newest_probe(services.database)
    if probe is None:
        st.write(tr("There is none yet: it needs embeddings (cytojepa embed) and labels of two different answers."))
        return
    judged = labels[labels["suggestion"].notna()]
    accuracy = probe.metrics.get("balanced_accuracy")
    values = [("-" if accuracy is None else f"{accuracy:.2f}", tr("balanced accuracy on slides it had not seen"))]
    if len(judged):
        share = 100 * (judged["suggestion"] == judged["category"]).mean()
        values.append((f"{share:.0f} %", tr("of {n} suggestions were the doctor's answer", n=len(judged))))
    blind = blindtest.figures(services.database, services.probes_folder, services.store(), services.label_set)
    if blind is not None:
        found = blind.judgement
        if found.slides < 2 or found.cells < _FEW_CELLS:  # their interval would be a point, and promise too much
            values.append(("-", tr("on the blind test set: {cells} cells answered so far, too few to say",
                                   cells=found.cells)))  # fmt: skip
        else:
            value = f"{found.balanced_accuracy:.2f} ({interval(found.low, found.high)})"
            what = tr("on the blind test set: {cells} cells of {slides} slides that nothing learns from",
                      cells=found.cells, slides=found.slides)  # fmt: skip
            values.append((value, what))
    pieces.figures(values)
    kept = read_figures(services)
    if kept is not None:
        st.write(gain_sentence(kept["arms"], tr))
        strange = strange_sentence(kept.get("strange"), tr)
        if strange is not None:
            st.warning(strange)
    st.caption(
        tr("The uncertain cells are asked first, so the share understates the suggestions. A dash means that the "
           "labels are still too few to say. Fitted on {labels} labelled cells of {classes} classes (probe {probe}, "
           "encoder {encoder}).", labels=probe.num_labels, classes=len(probe.classes), probe=probe.id[:12],
           encoder=probe.encoder_fingerprint)
    )  # fmt: skip


st.header(tr("Progress"))
rows = pd.DataFrame(export_rows(services.database, services.label_set))
current = rows[rows["is_current"] & (rows["annotator"] != IMPORTED)] if len(rows) else rows
num_cells = catalog.counts(services.database).cells
if not num_cells:
    pieces.empty(
        tr("This study has no cells yet."),
        tr("An administrator adds them with cytojepa ingest; then they appear here."),
    )
elif not len(current):
    pieces.empty(
        tr("No label yet."), tr("Press one key for the first cell; this page then counts along."),
        link=("/", tr("Start labelling")) if person.may("label") else None,
    )  # fmt: skip
else:
    show_counts(current, num_cells)
    show_categories(current)
    show_days(current)
    show_agreement(current)
    show_figures()
    show_care()
    if person.may("adjudicate"):
        show_review()
    show_suggestions(current)
    show_stop()
st.caption(tr("Research use only. Not a medical device."))
