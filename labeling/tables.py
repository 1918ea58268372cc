"""A study's cells, labels, vectors and suggestions as Arrow: batch by batch where there are many. Only reads."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from datasets.db import Database
from datasets.embeddings import EmbeddingStore
from datasets.listing import CellFacts, iter_cells
from labeling.export.rows import COLUMNS, Row, Selection, Study, iter_labels, iter_references
from labeling.imports.store import batches
from labeling.suggestions import SuggestionTable

BATCH_ROWS = 10_000
"""Rows that are held in memory at once."""
_MOMENT = pa.timestamp("us", tz="UTC")
_TIMES = ("made_at", "decided_at", "taken_back_at")
_KINDS = {int: pa.int64(), str: pa.string(), float: pa.float64(), bool: pa.bool_()}

LABELS = pa.schema([(name, _MOMENT if name in _TIMES else _KINDS[kind]) for name, kind in COLUMNS.items()])
"""The columns of the exported tables; times are moments in UTC."""
CELLS = pa.schema(
    [
        ("cell", pa.string()), ("slide", pa.string()), ("x_px", pa.float64()), ("y_px", pa.float64()),
        ("slide_mpp", pa.float64()), ("crop_mpp", pa.float64()), ("origin", pa.string()), ("added_at", _MOMENT),
    ]
)  # fmt: skip


def cell_batches(database: Database) -> Iterator[pa.RecordBatch]:
    """Yield all cells with the columns `CELLS`, ordered by id."""
    for part in batches(iter_cells(database), BATCH_ROWS):
        yield pa.RecordBatch.from_pylist([_cell(facts) for facts in part], CELLS)


def label_batches(database: Database, study: Study, selection: Selection) -> Iterator[pa.RecordBatch]:
    """Yield labels, then reference labels, with the columns `LABELS`: what a selection wants of either.

    One read transaction stays open while the batches are taken: all are of one moment.
    """
    with database.read() as session:
        if "label" in selection.kinds:
            yield from _batches_of(iter_labels(session, study, selection))
        if "reference" in selection.kinds and not selection.annotators:
            yield from _batches_of(iter_references(session, study, selection))


def embeddings_table(store: EmbeddingStore) -> pa.Table:
    """Return a store as `cell` and `vector` (fixed size, float16), one chunk for each shard, read when needed."""
    dim = store.dim or 0
    schema = pa.schema([("cell", pa.string()), ("vector", pa.list_(pa.float16(), dim))])
    stack, parts = store.stack(), []
    for start in range(0, len(store), BATCH_ROWS):
        vectors = np.ascontiguousarray(stack[start : start + BATCH_ROWS])
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dim)
        cells = pa.array(store.cell_ids[start : start + len(vectors)], pa.string())
        parts.append(pa.RecordBatch.from_arrays([cells, column], schema=schema))
    return pa.Table.from_batches(parts, schema.with_metadata({"encoder_fingerprint": store.fingerprint}))


def suggestions_table(store: EmbeddingStore, found: SuggestionTable) -> pa.Table:
    """Return `cell`, `category`, `probability` and one column `p_<category>` for each class, calibrated."""
    rows = min(len(store), len(found.probabilities))
    values = np.asarray(found.probabilities[:rows], np.float32)
    best = values.argmax(axis=1) if rows else np.empty(0, np.intp)
    columns: dict[str, Any] = {
        "cell": pa.array(store.cell_ids[:rows], pa.string()),
        "category": pa.array([found.classes[place] for place in best], pa.string()),
        "probability": pa.array(values[np.arange(rows), best]),
    }
    columns |= {f"p_{name}": pa.array(values[:, place]) for place, name in enumerate(found.classes)}
    told = {"probe": found.probe_id, "encoder_fingerprint": store.fingerprint}
    return pa.table(columns).replace_schema_metadata(told)


def _batches_of(rows: Iterator[Row]) -> Iterator[pa.RecordBatch]:
    for part in batches(rows, BATCH_ROWS):
        yield pa.RecordBatch.from_pylist([_with_moments(row) for row in part], LABELS)


def _with_moments(row: Row) -> Row:
    return {**row, **{name: datetime.fromisoformat(row[name]) for name in _TIMES if row.get(name)}}


def _cell(facts: CellFacts) -> dict[str, Any]:
    return {
        "cell": facts.cell_id, "slide": facts.slide_id, "x_px": facts.x_px, "y_px": facts.y_px,
        "slide_mpp": facts.slide_mpp, "crop_mpp": facts.crop_mpp, "origin": facts.origin, "added_at": facts.added_at,
    }  # fmt: skip
