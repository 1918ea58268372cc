"""How far a study's labels may be trusted, and what more of them would bring: figures with what they rest on."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from app.services import Services
from app.words import ENGLISH, Words, word, words
from datasets import catalog
from datasets.bethesda import LabelSet
from datasets.files import write_json
from labeling import agreement
from labeling.adjudication import standing_verdicts
from labeling.agreement import MISSING, Codes
from labeling.answers import counts, current_labels
from labeling.intervals import Agreement, with_intervals
from labeling.mixture import REPEAT
from labeling.records import IMPORTED, Assignment, Label
from labeling.stopping import SAMPLE_ROWS, ArmComparison, StopSignal, compare_arms, stop_signals
from labeling.strangers import StrangeCells, strange_cells
from labeling.study import LikelyError, Study, likely_errors

_ENGLISH = words(ENGLISH)
FIGURES_FILE = "figures.json"
"""What the last measurement found: for the pages, beside the database."""
_CUT = " and above"
_MANY_STRANGE, _NAMED = 0.15, 5
"""Share of strange cells from which they are told where no slide stands out, and slides that a sentence names."""
_ADVICE = {"too early": word("too early to say"), "label more": word("label more"), "enough": word("enough for now")}
_NAMES = {"weighted kappa": word("weighted kappa"), "Fleiss' kappa": word("Fleiss' kappa")}
ORDERED = ("NILM", "ASC-US", "LSIL", "ASC-H", "HSIL", "SCC")
"""Squamous categories by severity; weighted figures leave the others out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """All figures of a study."""

    agreement: dict[str, Agreement]
    """Between doctors: kappa, alpha, Fleiss' kappa of the cells with the most usual number of answers, kappa of each
    category; on the squamous axis weighted kappa, and kappa at each cut ("HSIL and above")."""
    intra: dict[str, Agreement]
    """Of each doctor with himself, on cells that came back."""
    stop: list[StopSignal]
    arms: ArmComparison | None
    second_look: list[LikelyError]
    """Labels that a probe which has not seen their slide doubts most: look again, without being told why."""
    strange: StrangeCells | None
    """How much of a sample of the cells is unlike everything labelled; None before labels of two classes."""

    def as_json(self) -> dict[str, Any]:
        """Return what JSON knows."""
        return asdict(self)


def write_figures(services: Services) -> Quality:
    """Compute all figures and keep them for the pages, which never wait for a fit."""
    found = measure(services)
    write_json(services.home / FIGURES_FILE, found.as_json())
    return found


def read_figures(services: Services) -> dict[str, Any] | None:
    """Return the kept figures, None before the first."""
    path = services.home / FIGURES_FILE
    if not path.exists():
        return None
    kept: dict[str, Any] = json.loads(path.read_text())
    return kept


def doubted(services: Services) -> list[dict[str, Any]]:
    """Return the kept second looks that are still open: rows of `LikelyError`, the least likely answer first.

    A cell that has got a verdict since has been looked at.
    """
    kept = read_figures(services)
    rows: list[dict[str, Any]] = kept["second_look"] if kept else []
    if not rows:
        return []
    with services.database.read() as session:
        decided = set(standing_verdicts(session))
    return [row for row in rows if row["cell_id"] not in decided]


def figure_words(name: str, label_set: LabelSet, tr: Words) -> str:
    """Return a figure's name in the reader's words.

    Args:
        name: A key of `Quality.agreement`.
        label_set: Its categories are written with their names.
        tr: The reader's words.
    """
    names = {category.id: category.name for category in label_set.categories}
    cut = name.removesuffix(_CUT)
    if cut != name and cut in names:
        return tr("{category} and above", category=tr(names[cut]))
    return tr(_NAMES.get(name, names.get(name, name)))


def advice_words(advice: str, tr: Words) -> str:
    """Return the advice of a stop signal in the reader's words."""
    return tr(_ADVICE[advice])


def gain_sentence(arms: dict[str, Any] | ArmComparison | None, tr: Words = _ENGLISH) -> str:
    """Say what choosing cells has brought over chance in this study itself.

    Args:
        arms: What was compared, None where there is too little.
        tr: The reader's words.
    """
    if arms is None:
        return tr("The queue against chance: too few labels of either kind yet (30 of each are needed).")
    told = arms if isinstance(arms, dict) else asdict(arms)
    return tr(
        "The queue against chance, {labels} labels each, tested on chance cells of other slides: balanced accuracy "
        "{active:.3f} against {random:.3f}, gain {difference:+.3f} ({low:+.3f} to {high:+.3f}).",
        **{name: told[name] for name in ("labels", "active", "random", "difference", "low", "high")},
    )


def strange_sentence(strange: dict[str, Any] | StrangeCells | None, tr: Words = _ENGLISH) -> str | None:
    """Say of which cells nothing is known yet, such as those of another laboratory; None where there are few.

    Args:
        strange: What was found, None where nothing could be.
        tr: The reader's words.
    """
    told = asdict(strange) if isinstance(strange, StrangeCells) else strange
    if told is None or (not told["slides"] and told["strange"] < _MANY_STRANGE * told["cells"]):
        return None
    share = 100 * told["strange"] / told["cells"]
    if not told["slides"]:
        return tr(
            "{share:.0f} % of the cells are unlike the labelled cells. How far suggestions of them can be believed is "
            "not known before some are labelled.", share=share,
        )  # fmt: skip
    return tr(
        "{share:.0f} % of the cells are unlike the labelled cells. Slides of which most cells are: {n} ({slides}). How "
        "far suggestions there can be believed is not known before some are labelled.",
        share=share, n=len(told["slides"]), slides=", ".join(told["slides"][:_NAMED]),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorPair:
    """Two doctors on the cells that both have decided."""

    doctors: tuple[str, str]
    kappa: Agreement
    same_answer: float
    """Share of the cells with the same answer of both."""


def open_study(services: Services) -> Study | None:
    """Return vectors and labels joined, None before there are vectors and labels of two classes."""
    store = services.store()
    if store is None or not len(store):
        return None
    study = Study.open(
        services.database, store, services.label_set,
        groups=catalog.slide_of_cells(services.database), reads=services.settings.reads,
        exemplar_weight=services.settings.exemplar_weight,
    )  # fmt: skip
    return study if study.training is not None and len(set(study.training.classes)) > 1 else None


def measure(services: Services) -> Quality:
    """Compute all figures from the labels as they stand."""
    return measure_study(services, open_study(services))


def measure_study(services: Services, study: Study | None) -> Quality:
    """Compute all figures of a study that is open already."""
    stop: list[StopSignal] = []
    arms, looks, strange = None, [], None
    if study is not None:
        assert study.training is not None
        rows = np.sort(np.random.default_rng(0).permutation(len(study.store))[:SAMPLE_ROWS])
        sample = study.vectors[rows].astype(np.float64)
        stop = stop_signals(study.training, study.scale, sample, strength=study.strength())
        arms = compare_arms(study.training, study.scale, strength=study.strength())
        looks = likely_errors(study)
        strange = strange_cells(study, rows)
    return Quality(
        agreement=between(services), intra=within(services), stop=stop, arms=arms, second_look=looks, strange=strange
    )


def between(services: Services) -> dict[str, Agreement]:
    """Return the agreement between doctors."""
    with services.database.read() as session:
        answers = [(x.cell_id, x.annotator, x.category) for x in current_labels(session)]
    classes = services.label_set.class_ids
    ratings, _, _ = agreement.ratings_table(answers, classes)
    number = len(classes)
    penalties = [1.0 - np.eye(number), *(agreement.category_penalty(number, code) for code in range(number))]
    kappas = with_intervals(ratings, agreement.Kappas(number, np.array(penalties)))
    found = {"kappa": kappas[0], "alpha": with_intervals(ratings, agreement.Alpha(number))[0]}
    found |= zip(classes, kappas[1:], strict=True)
    found["Fleiss' kappa"] = with_intervals(agreement.equally_read(ratings), agreement.Fleiss(number))[0]
    squamous = [name for name in ORDERED if name in classes]
    if len(squamous) > 2:
        ordered, _, _ = agreement.ratings_table(answers, squamous)
        cuts = [agreement.cut_penalty(len(squamous), code) for code in range(1, len(squamous))]
        penalties = [agreement.bethesda_weights(len(squamous)), *cuts]
        kappas = with_intervals(ordered, agreement.Kappas(len(squamous), np.array(penalties)))
        found |= zip(("weighted kappa", *(f"{name}{_CUT}" for name in squamous[1:])), kappas, strict=True)
    return {name: value for name, value in found.items() if value.pairs}


def pairs(
    answers: Sequence[tuple[str, str, str]], classes: Sequence[str], *, of: str | None = None
) -> list[DoctorPair]:
    """Return every two doctors who decided the same cells, from answers (cell, doctor, class).

    Args:
        answers: Current ones.
        classes: The categories that count.
        of: Only the pairs of this doctor; None: all.
    """
    ratings, doctors, _ = agreement.ratings_table(answers, classes)
    found = []
    for first, second in itertools.combinations(range(len(doctors)), 2):
        if of not in (None, doctors[first], doctors[second]):
            continue
        both = ratings[[first, second]]
        both = both[:, (both != MISSING).all(axis=0)]
        kappa = _kappa(both, classes)
        if kappa.pairs:
            same = float((both[0] == both[1]).mean())
            found.append(DoctorPair(doctors=(doctors[first], doctors[second]), kappa=kappa, same_answer=same))
    return found


def within(services: Services) -> dict[str, Agreement]:
    """Return each doctor's agreement with himself: the answer to a repeat against the one before it."""
    classes = services.label_set.class_ids
    with services.database.read() as session:
        repeats = session.execute(
            select(Assignment.annotator, Assignment.cell_id, Assignment.served_at).where(Assignment.arm == REPEAT)
        ).all()
        labels = session.scalars(select(Label).where(counts(), Label.annotator != IMPORTED)).all()
    given: dict[tuple[str, str], list[Label]] = {}
    for label in labels:
        given.setdefault((label.annotator, label.cell_id), []).append(label)
    pairs: dict[str, list[tuple[str, str, str]]] = {}
    for doctor, cell, served_at in repeats:
        own = given.get((doctor, cell), [])
        first = [x.category for x in own if x.made_at < served_at]
        again = [x.category for x in own if x.made_at >= served_at]
        if first and again:
            pairs.setdefault(doctor, []).extend([(cell, "before", first[-1]), (cell, "again", again[0])])
    found = {}
    for doctor, answers in pairs.items():
        ratings, _, _ = agreement.ratings_table(answers, classes)
        found[doctor] = _kappa(ratings, classes)
    return found


def _kappa(ratings: Codes, classes: Sequence[str]) -> Agreement:
    plain = 1.0 - np.eye(len(classes))
    return with_intervals(ratings, agreement.Kappas(len(classes), plain[None]))[0]
