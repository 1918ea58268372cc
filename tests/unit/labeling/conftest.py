"""A study of a few cells without pictures: what the chain, the exports and the imports need."""

import pytest
from sqlalchemy import select

from app.services import Services
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from labeling.imports.store import ImportedLabel, store_labels
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.records import Label, Probe
from tests.studies import KINDS, home_of_kind


@pytest.fixture(params=KINDS)
def new_home(request, tmp_path, monkeypatch):
    """Every test here runs with each kind of database."""
    yield from home_of_kind(request.param, request, tmp_path, monkeypatch)


@pytest.fixture
def cells(services) -> list[str]:
    """Twelve cells on two fields and two single-cell pictures of a third slide."""
    now = utc_now()
    slides = [
        Slide(id=f"SL-{name * 13}", kind=kind, sha256=name.lower() * 64, width_px=width, height_px=300,
              mpp=0.25, mpp_source="given", added_at=now)
        for name, kind, width in (("A", "field", 400), ("B", "field", 400), ("C", "cells", None))
    ]  # fmt: skip
    rows = [
        Cell(id=f"CE-{number:013d}", slide_id=slides[number % 2].id if number < 12 else slides[2].id,
             x=20.25 + 25 * number if number < 12 else None, y=30.5 + 15 * number if number < 12 else None,
             crop_mpp=0.25, source_width_px=None if number < 12 else 90, source_height_px=None if number < 12 else 80,
             origin="imported", added_at=now)
        for number in range(14)
    ]  # fmt: skip
    catalog.add(services.database, slides, rows)
    return [row.id for row in rows]


@pytest.fixture
def labelled(services, cells):
    """The study with 20 labels of two doctors, two of them taken back."""
    for who in ("ada", "ben"):
        events = [
            LabelEvent(key=f"{who}-{n}", cell_id=cells[n], category=("NILM", "HSIL", "LSIL")[n % 3], seconds=n / 3,
                       decided_at=utc_now())
            for n in range(10)
        ]  # fmt: skip
        events.append(UndoEvent(key=f"{who}-undo", label_key=f"{who}-3"))
        assert all(r.accepted for r in record(services.database, who, events, label_set=services.label_set))
    return services


@pytest.fixture
def rich(labelled, cells):
    """The labelled study with labels that came with the data, a suggestion, and odd names."""
    store_labels(labelled.database, [ImportedLabel(cell_id=i, category="SCC") for i in cells[11:]])
    with labelled.database.write() as session:
        row = session.scalars(select(Label).where(Label.key == "ada-1")).one()
        session.add(Label(
            key="=cmd", cell_id=cells[12], annotator="+dr. Ö'Neil", category="HSIL", made_at=row.made_at,
            suggestion="LSIL", suggestion_probability=0.1 + 0.2, suggestion_shown=True, reason="'quoted, \"twice\"\n",
            probe_id="p" * 32,
        ))  # fmt: skip
        session.add(Probe(
            id="p" * 32, encoder_fingerprint="e" * 64, last_label_id=1, num_labels=2, classes=["HSIL", "LSIL"],
            settings={}, metrics={}, made_at=row.made_at,
        ))  # fmt: skip
    return labelled


@pytest.fixture
def empty_copy(rich, tmp_path):
    """A study with the same cells and no labels."""
    copy = Services.open(tmp_path / "copy")
    with rich.database.read() as session:
        slides, rows = session.scalars(select(Slide)).all(), session.scalars(select(Cell)).all()
    catalog.add(copy.database, slides, rows)
    yield copy
    copy.database.close()
