"""Round trips as a property: whatever doctors said, every format that can carry it brings all of it back."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services import Services
from datasets import catalog
from datasets.bethesda import BETHESDA
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from labeling.export import export_labels
from labeling.export.rows import Selection
from labeling.imports import import_file
from labeling.imports.store import ImportedLabel, store_labels

OUTS = {"csv": "a.csv", "parquet": "a.parquet", "coco": "a.json", "geojson": "a.geojson", "labelstudio": "t.json",
        "imagefolder": "folder", "webdataset": "shards", "dicom-ann": "objects"}  # fmt: skip
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010800000000"
                    "3a7e9b550000000a49444154789c63600000000200" "0148afa4710000000049454e44ae426082")  # fmt: skip
CELLS = 8
ENCODERS = {"p" * 32: "e" * 64, "q" * 32: "f" * 64}
"""Probes of some other study, and what they were fitted on."""

# A surrogate cannot be stored as UTF-8, and PostgreSQL has no zero character: the page's own text has neither.
words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40)
names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20)
numbers = st.floats(0, 1e6, allow_nan=False)
moments = st.integers(0, 10**9).map(lambda n: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=n * 137))


@st.composite
def histories(draw: st.DrawFn) -> dict[str, object]:
    """Draw what a label may bring of its past; each part may be missing."""
    parts = {
        "made_at": moments, "decided_at": moments, "seconds": numbers, "reason": words, "comment": words,
        "suggestion": st.sampled_from(BETHESDA.ids), "suggestion_probability": st.floats(0, 1),
        "suggestion_shown": st.booleans(), "probe_id": st.sampled_from(sorted(ENCODERS)),
        "confidence": st.sampled_from(["sure", "unsure"]),
        "step": st.just("step-1"),
    }  # fmt: skip
    chosen = draw(st.sets(st.sampled_from(sorted(parts)))) | {"made_at"}
    return {name: draw(parts[name]) for name in sorted(chosen)}


@st.composite
def given_labels(draw: st.DrawFn) -> list[ImportedLabel]:
    """Draw labels, each with a key of its own; one annotator may answer a cell more than once."""
    count = draw(st.integers(1, 6))
    pasts = [draw(histories()) for _ in range(count)]
    return [
        ImportedLabel(
            cell_id=f"CE-{draw(st.integers(0, CELLS - 1)):013d}", category=draw(st.sampled_from(BETHESDA.ids)),
            annotator=draw(names), key=f"key-{number}", history=past,
            encoder_fingerprint=ENCODERS.get(str(past.get("probe_id"))) if draw(st.booleans()) else None,
            taken_back_at=draw(st.one_of(st.none(), moments)), was_told=draw(st.booleans()),
        )
        for number, past in enumerate(pasts)
    ]  # fmt: skip


def _study(home: Path) -> Services:
    services, now = Services.open(home), utc_now()
    slides = [
        Slide(id=f"SL-{n:013d}", kind=kind, sha256=f"{n}", width_px=width, height_px=900, mpp=0.25, mpp_source="given",
              added_at=now)
        for n, (kind, width) in enumerate([("field", 900), ("slide", 900), ("cells", None)])
    ]  # fmt: skip
    cells = [
        Cell(id=f"CE-{n:013d}", slide_id=slides[n % 3].id, x=None if n % 3 == 2 else 100.0 * n,
             y=None if n % 3 == 2 else 50.25, crop_mpp=0.25, source_width_px=80, source_height_px=70, origin="imported",
             added_at=now)
        for n in range(CELLS)
    ]  # fmt: skip
    catalog.add(services.database, slides, cells)
    for cell in cells:
        path = catalog.crop_path(home, cell.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)
    return services


def _rows(services: Services, out: Path) -> dict[str, dict]:
    """Return all columns of all labels, as Parquet has them, by key; numbers in the database may differ."""
    selection = Selection(kinds=("label",))
    export_labels(services.database, "parquet", out, label_set=BETHESDA, selection=selection)
    rows = pq.read_table(out).drop_columns("label_id").to_pylist()
    return {row["label_key"]: row for row in rows}


def _expected(labels: list[ImportedLabel], name: str) -> set[str]:
    """Return the keys that a format has to bring back: found without the exporter."""
    if name in ("csv", "parquet"):
        return {label.key for label in labels}
    newest = {(x.cell_id, x.annotator): x.key for x in labels if x.taken_back_at is None}
    unplaced = {f"CE-{n:013d}" for n in range(CELLS) if n % 3 == 2}
    return {key for (cell, _), key in newest.items() if name != "dicom-ann" or cell not in unplaced}


def _check(labels: list[ImportedLabel]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        source = _study(Path(scratch) / "source")
        assert store_labels(source.database, labels).refused == {}
        rows = _rows(source, Path(scratch) / "rows.parquet")
        for name, out in OUTS.items():
            target = _study(Path(scratch) / name)
            selection = Selection(kinds=("label",))
            report = export_labels(source.database, name, Path(scratch) / out, label_set=BETHESDA, selection=selection)
            if not report.files:  # no label lies on a slide: a folder of no object, which import refuses in words
                assert _expected(labels, name) == set(), name
                target.database.close()
                continue
            found = import_file(target.database, Path(scratch) / out, label_set=BETHESDA)
            back = _rows(target, Path(scratch) / f"{name}.rows")
            target.database.close()

            assert found.refused == [], name
            assert found.labels == len(back) == report.rows, name
            assert back == {key: rows[key] for key in _expected(labels, name)}, name
        source.database.close()


@settings(max_examples=3, deadline=None, derandomize=True)
@given(labels=given_labels())
def test_round_trip__loses_nothing_in_any_format_that_can_carry_it(labels: list[ImportedLabel]) -> None:
    _check(labels)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=150, deadline=None)
@given(labels=given_labels())
def test_round_trip__loses_nothing_in_many_draws(labels: list[ImportedLabel]) -> None:
    _check(labels)
