"""What a study report tells, gathered from the database, the vectors and the runs; nothing is written."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import agreement_figures
from app.agreement_figures import DoctorPair, Quality
from app.runs import read_run, run_folders
from app.services import Services
from datasets.catalog import Cell, Slide
from labeling import audit, blindtest
from labeling.adjudication import standing_verdicts
from labeling.calibration import Bin, probabilities_of, reliability_bins
from labeling.export.groups import groups_of
from labeling.export.rows import SPLITS, Row, Selection, iter_labels, split_of
from labeling.export.rows import Study as ExportStudy
from labeling.heldout import held_out
from labeling.probes import LinearProbe
from labeling.records import IMPORTED, Probe
from labeling.stopping import Growth, growth
from labeling.study import Study, newest_probe


@dataclass(slots=True)
class Work:
    """What one annotator has done."""

    categories: Counter[str] = field(default_factory=Counter)
    """Current labels."""
    taken_back: int = 0
    replaced: int = 0
    """By a newer label of the same annotator."""
    seconds: list[float] = field(default_factory=list)
    shown_before: int = 0
    """Labels whose suggestion was on screen before the answer."""
    with_suggestion: int = 0
    as_suggested: int = 0
    first_at: str = ""
    last_at: str = ""

    def add(self, row: Row) -> None:
        """Count one label."""
        self.first_at, self.last_at = self.first_at or row["made_at"], row["made_at"]
        if row["taken_back_at"] is not None:
            self.taken_back += 1
        elif not row["is_current"]:
            self.replaced += 1
        else:
            self.categories[row["category"]] += 1
            self.shown_before += bool(row["suggestion_shown"])
            if row["suggestion"] is not None:
                self.with_suggestion += 1
                self.as_suggested += row["suggestion"] == row["category"]
            if row["seconds"] is not None:
                self.seconds.append(row["seconds"])

    @property
    def median_seconds(self) -> float | None:
        """How long a cell was on screen, median."""
        return median(self.seconds) if self.seconds else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretraining:
    """One run, by what identifies it."""

    name: str
    state: str
    steps: int
    method: str
    tiles: str | None
    """Hash of the tile list on which it ran."""
    weights: str | None
    """SHA-256 of the newest checkpoint's weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFindings:
    """All that a study report tells."""

    slides: dict[str, int]
    """By kind."""
    slides_by_split: dict[str, int]
    """As exports have it, in the order of `rows.SPLITS`."""
    slides_of_known_patients: int
    cells: dict[str, int]
    """By origin."""
    cells_without_scale: int
    labelled_cells: int
    """With a current label of a doctor."""
    work: dict[str, Work]
    verdicts: Counter[str]
    """Standing ones, by adjudicator."""
    quality: Quality
    pairs: list[DoctorPair]
    growth: list[Growth]
    bins: list[Bin]
    blind: str | None
    """What the suggestions are worth on the blind test set; None without one."""
    probe: Probe | None
    store: tuple[str, int, int] | None
    """Fingerprint, vectors and length of a vector."""
    runs: list[Pretraining]
    events: int
    head: str
    """Of the chain of events: it stands for every label that the report rests on."""
    newest_at: str | None
    """When the newest label was stored."""

    @property
    def doctors(self) -> dict[str, Work]:
        """Annotators without what came with the data."""
        return {name: work for name, work in self.work.items() if name != IMPORTED}


def gather(services: Services) -> StudyFindings:
    """Compute everything from the study as it stands."""
    study = agreement_figures.open_study(services)
    store = services.store()
    with services.database.read() as session:
        work, answers, newest = _work(session, services)
        slides = session.execute(select(Slide.id, Slide.kind)).all()
        cells = dict(session.execute(select(Cell.origin, func.count()).group_by(Cell.origin)).all())
        no_scale = session.scalar(select(func.count()).select_from(Cell).where(Cell.crop_mpp.is_(None))) or 0
        verdicts = Counter(verdict.adjudicator for verdict in standing_verdicts(session).values())
    probe = newest_probe(services.database)
    head = audit.chain_head(services.database)
    blind = blindtest.figures(services.database, services.probes_folder, store, services.label_set)
    patients = groups_of(services.database)
    return StudyFindings(
        slides=dict(Counter(kind for _, kind in slides)), cells=cells, cells_without_scale=no_scale,
        slides_by_split=dict(Counter(sorted((split_of(patients.get(i, i)) for i, _ in slides), key=SPLITS.index))),
        slides_of_known_patients=len(patients),
        labelled_cells=len({cell for cell, _, _ in answers}), work=work, verdicts=verdicts,
        quality=agreement_figures.measure_study(services, study),
        pairs=agreement_figures.pairs(answers, services.label_set.class_ids),
        growth=_growth(study), bins=_bins(study, probe), blind=None if blind is None else blind.sentence(), probe=probe,
        store=(store.fingerprint, len(store), store.dim or 0) if store is not None else None,
        runs=list(_runs(services)), events=head.seq, head=head.hash, newest_at=newest,
    )  # fmt: skip


def _work(session: Session, services: Services) -> tuple[dict[str, Work], list[tuple[str, str, str]], str | None]:
    """Return each annotator's work, the doctors' current answers, and the newest label's time."""
    work: dict[str, Work] = defaultdict(Work)
    answers, newest = [], None
    study = ExportStudy(label_set=services.label_set, crop_px=services.settings.crop_px)
    for row in iter_labels(session, study, Selection()):
        work[row["annotator"]].add(row)
        newest = max(newest or "", row["made_at"])
        if row["is_current"] and row["annotator"] != IMPORTED:
            answers.append((row["cell"], row["annotator"], row["category"]))
    return dict(sorted(work.items())), answers, newest


def _growth(study: Study | None) -> list[Growth]:
    if study is None or study.training is None or len(set(study.training.slides)) < 2:
        return []
    return growth(study.training, study.scale, strength=study.strength())


def _bins(study: Study | None, probe: Probe | None) -> list[Bin]:
    """Return how far the probabilities may be believed, on slides that the folds have not seen.

    A class of a single slide cannot be left out: its cells are, and the figure is of the others.
    """
    if study is None or study.training is None:
        return []
    training = study.training.answers()
    slides_of = {name: len(set(training.slides[training.classes == name])) for name in set(training.classes)}
    kept = np.array([slides_of[name] > 1 for name in training.classes])
    fresh = LinearProbe(C=study.strength(), mean=study.scale.mean, std=study.scale.std)
    if len(set(training.classes[kept])) < 2:
        return []
    found = held_out(
        training.vectors[kept], training.classes[kept], training.slides[kept], probe=fresh,
        sample_weight=training.weights[kept],
    )  # fmt: skip
    if found is None:
        return []
    rows = found.has_logits & (training.weights[kept] > 1 - 1e-9)
    if not rows.any():
        return []
    temperature = float(probe.settings.get("temperature", 1.0)) if probe is not None else 1.0
    return reliability_bins(probabilities_of(found.logits[rows], temperature), found.codes[rows])


def _runs(services: Services) -> Iterator[Pretraining]:
    for folder in run_folders(services):
        run = read_run(folder)
        manifest = _newest_manifest(folder)
        yield Pretraining(
            name=run.name, state=run.state, steps=run.step,
            method=f"{run.config.get('objective', 'ijepa')}, {run.config.get('backbone', 'vit')}",
            tiles=manifest.get("pack_hash"), weights=manifest.get("sha256", {}).get("model.safetensors"),
        )  # fmt: skip


def _newest_manifest(folder: Path) -> dict[str, Any]:
    """Return what the newest checkpoint tells of itself; empty without one."""
    manifests = sorted(folder.glob("checkpoints/step-*/manifest.json"))
    return json.loads(manifests[-1].read_text()) if manifests else {}
