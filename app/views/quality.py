"""What stands out: cells that are there twice, answers in doubt, slides and cells unlike the rest; and what to do."""

from collections.abc import Sequence, Sized
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from app import jobs
from app.agreement_figures import doubted
from app.doubles import Double, answers_of, doubles, slides_twice
from app.job_files import JobError
from app.slide_quality import QUALITY_FILE, read_report
from app.views import people, pieces
from app.views.pieces import Card
from app.words import word
from datasets import catalog

_PAIRS, _CELLS = 24, 30
_FAMILIAR = 0.9
"""Novelty above which a doubt says little: the probe knows nothing like that cell."""
_WORDS = {
    ("foreground", True): word("fuller than the others"),
    ("foreground", False): word("emptier than the others"),
    ("focus", True): word("sharper or noisier than the others"),
    ("focus", False): word("softer than the others"),
    ("underexposed", True): word("more black than the others"),
    ("underexposed", False): word("less black than the others"),
    ("overexposed", True): word("more burnt-out white than the others"),
    ("overexposed", False): word("less burnt-out white than the others"),
    ("red", True): word("stronger blue stain"),
    ("red", False): word("weaker blue stain"),
    ("green", True): word("stronger red stain"),
    ("green", False): word("weaker red stain"),
    ("blue", True): word("stronger orange stain"),
    ("blue", False): word("weaker orange stain"),
}
"""What a measure that is high (True) or low looks like; a stain is what it takes from the light."""

person, services, tr = people.require("quality"), people.services(), people.wording()
slide_of = catalog.slide_of_cells(services.database)
on_slides = {slide.id for slide in catalog.slides_with_pictures(services.database)}


def picture(cell_id: str) -> tuple[str, str]:
    """Return a cell's picture for a card."""
    return f"/api/v1/cells/{cell_id}/image", tr("Cell {cell}", cell=cell_id)


def ways(cell_id: str, *, is_answered: bool = False) -> tuple[tuple[str, str], ...]:
    """Return the ways from a cell to where something can be done about it, as far as this role may."""
    found = [(f"/slide?cell={cell_id}", tr("on the slide"))] if slide_of.get(cell_id) in on_slides else []
    if is_answered and person.may("adjudicate"):
        found.append((f"/review?cell={cell_id}", tr("decide")))
    return tuple(found)


def names(categories: Sequence[str]) -> str:
    """Return categories in the reader's words."""
    return ", ".join(tr(services.label_set[name].name) if name in services.label_set.ids else name
                     for name in categories)  # fmt: skip


def headed(title: str, rows: Sized, *, how: str, none: str) -> None:
    """Draw a heading, and under it how to look at what follows, or that there is nothing."""
    st.subheader(title)
    st.caption(how if rows else none)


def show_doubles(found: Sequence[Double]) -> None:
    """Draw the pairs of cells that look the same, contradicting answers first."""
    headed(
        tr("Cells that look the same: {n} pairs", n=len(found)), found,
        how=tr("Pictures of different places that nearly agree, in their outlines or in their vectors. Look at both: "
               "if it is one cell taken twice, both need the same answer; if not, nothing is to do."),
        none=tr("None. The same cell taken twice would put contradictory labels into the study."),
    )  # fmt: skip
    for first, second, count in slides_twice(found, slide_of):
        st.warning(
            tr("{first} and {second} share {n} cells: perhaps one slide that was taken in twice. Leave one of them out "
               "of exports (Only these slides) and count its figures once.", first=first, second=second, n=count)
        )  # fmt: skip
    shown = pieces.page_of(found, _PAIRS, tr, key="pairs-page")
    pieces.cards([double_card(double) for double in shown], width_rem=17)


def double_card(double: Double) -> Card:
    """Return the card of a pair; what the cells have been called is for adjudicators only."""
    sides = ((double.first, double.answers[0]), (double.second, double.answers[1]))
    return Card(
        pictures=(picture(double.first), picture(double.second)),
        title=tr("{share:.1f} % alike", share=100 * double.likeness),
        marked=tr("Different answers: {first} and {second}", first=names(double.answers[0]),
                  second=names(double.answers[1])) if double.contradicts else "",
        lines=tuple((cell + (f": {names(answers)}" if answers and not double.contradicts else ""),
                     ways(cell, is_answered=bool(answers))) for cell, answers in sides),
    )  # fmt: skip


def show_doubts() -> None:
    """Draw the labels that a probe without their slide finds unlikely, the least likely first.

    What the probe would say instead stays unsaid: a second look that knows it is no second look.
    """
    known = catalog.crop_scales(services.database, [row["cell_id"] for row in doubts])
    rows = [row for row in doubts if row["cell_id"] in known]
    headed(
        tr("Answers worth a second look: {n}", n=len(rows)), rows,
        how=tr("Undisputed answers that the suggestions, learned without their slide, find least likely. Some of these "
               "doubts are mistaken: look at the picture, not at the doubt, and decide it as if nobody had answered."),
        none=tr("None, or too few labels to say."),
    )  # fmt: skip
    unlike = tr("unlike the other labelled cells")
    pieces.cards(
        [
            Card(pictures=(picture(row["cell_id"]),), title=tr("{answer}?", answer=names([row["answer"]])),
                 lines=((row["cell_id"], ()), *([(unlike, ())] if row["novelty"] > _FAMILIAR else []),
                        ("", ways(row["cell_id"], is_answered=True))))
            for row in rows
        ]
    )  # fmt: skip


def by_name(rows: Sequence[dict[str, Any]], name: str) -> dict[str, list[str]]:
    """Return what is said of each slide or cell, the farthest first."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(tr(_WORDS[row["measure"], row["deviations"] > 0]))
    return found


def show_odd_slides(report: dict[str, Any]) -> None:
    """Draw the slides unlike the rest, and those that cannot be read."""
    found = {slide: said for slide, said in by_name(report["odd_slides"], "slide").items() if slide in on_slides}
    headed(
        tr("Slides unlike the rest: {n}", n=len(found)), found,
        how=tr("A measure that is more than four robust deviations from the middle of all slides. What is soft or "
               "burnt out should be scanned anew; where the stain differs, see by the map whether suggestions read "
               "the slide instead of the cell."),
        none=tr("None. It takes five slides to say so."),
    )  # fmt: skip
    pieces.cards(
        [
            Card(pictures=((f"/api/slides/{slide}/small", tr("Slide {slide}", slide=slide)),), title=slide,
                 lines=(*((text, ()) for text in said), ("", ((f"/slide?slide={slide}", tr("open")),))))
            for slide, said in found.items()
        ],
        width_rem=13, shape="4/3",
    )  # fmt: skip
    for row in report["unreadable"]:
        st.error(tr("{slide} cannot be read: {reason}", slide=row["slide"], reason=row["reason"]))


def show_odd_cells(report: dict[str, Any]) -> None:
    """Draw the cells unlike the rest: by their vectors, then by their measures."""
    said = {row["cell"]: [tr("resembles no other cell")] for row in report.get("strange_cells", [])}
    for cell, words in by_name(report["odd_cells"], "cell").items():
        said.setdefault(cell, []).extend(words)
    known = catalog.crop_scales(services.database, list(said))
    rows = [(cell, words) for cell, words in said.items() if cell in known]
    headed(
        tr("Cells unlike the rest: {n}", n=len(rows)), rows,
        how=tr("Dirt, folds, air, something cut off, or a rare finding: look. Who labels such a cell says what it is; "
               "the answer \u201cNot a cell\u201d takes it out of the classes."),
        none=tr("None."),
    )  # fmt: skip
    shown = pieces.page_of(rows, _CELLS, tr, key="cells-page")
    pieces.cards(
        [
            Card(pictures=(picture(cell),), title=cell, lines=(*((text, ()) for text in words), ("", ways(cell))))
            for cell, words in shown
        ]
    )


def show_measures(report: dict[str, Any]) -> None:
    """Draw the table of all measures of slides."""
    with st.expander(tr("All measures of the slides")):
        st.dataframe(
            pd.DataFrame(report["slides"]).rename(columns={
                "slide": tr("slide"), "foreground": tr("foreground"), "focus": tr("focus"),
                "underexposed": tr("underexposed"), "overexposed": tr("overexposed"), "red": tr("red"),
                "green": tr("green"), "blue": tr("blue"),
            }),
            hide_index=True,
        )  # fmt: skip
        st.caption(
            tr("Foreground: share that is stained. Focus: share of detail that a small blur takes away; low is soft. "
               "Red, green, blue: mean optical density of what is stained. Numbers to look closer by, no verdicts.")
        )  # fmt: skip


def measure_again() -> None:
    """Start the measuring; runs before the page is drawn anew, with the role as it is now."""
    who = people.require("runs")
    try:
        jobs.start_job(services, "quality", ["quality"], by=who.name)
        st.session_state["quality-said"] = None
    except JobError as error:
        st.session_state["quality-said"] = str(error)


def show_state(report: dict[str, Any] | None) -> None:
    """Say how old the measures are, and let those who may have them taken again."""
    words, button = st.columns([5, 1], vertical_alignment="center")
    if report is None:
        words.write(tr("The pictures of this study have not been measured yet."))
    else:
        at = datetime.fromtimestamp((services.home / QUALITY_FILE).stat().st_mtime, tz=UTC)
        newer = catalog.counts(services.database).cells - report["cells"]
        words.write(
            tr("Measured {day} (UTC): {slides} slides, {cells} cells.", day=f"{at:%Y-%m-%d %H:%M}",
               slides=len(report["slides"]), cells=report["cells"])
            + (tr(" {n} cells have come since.", n=newer) if newer > 0 else "")
        )  # fmt: skip
    if not person.may("runs"):
        words.caption(tr("A data manager or admin has them measured: here, or on the page Jobs."))
        return
    button.button(tr("Measure"), on_click=measure_again, width="stretch")
    if "quality-said" in st.session_state:
        problem = st.session_state.pop("quality-said")
        if problem:
            st.error(problem)
        else:
            st.success(tr("It is at work; the page Jobs shows how far it is. Open this page again when it is done."))


st.header(tr("Quality"))
latest = read_report(services.home)
doubts = doubted(services) if person.may("adjudicate") else []
show_state(latest)
st.caption(tr("The program changes and deletes nothing: what is to be done is yours to decide."))
if person.may("adjudicate"):
    show_doubts()
if latest is not None:
    answers = answers_of(services.database) if person.may("adjudicate") else {}
    everywhere = [pair for pair in latest["same"] if pair["first"] in slide_of and pair["second"] in slide_of]
    show_doubles(doubles(everywhere, answers))
    show_odd_slides(latest)
    show_odd_cells(latest)
    show_measures(latest)
st.caption(tr("Research use only. Not a medical device."))
