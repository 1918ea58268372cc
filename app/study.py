"""A study in Python: its cells, labels, vectors and suggestions as pandas and Arrow; labels in as an annotator.

    from app.study import open_study

    with open_study("my-study") as study:
        labels = study.labels(current_only=True)

Reading is all that `open_study` allows until it is told who writes: `open_study("my-study", annotator="ada")`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from app.answer_frames import Answers, event_key, label_events
from app.services import Services
from app.wanted import Wanted, selection
from datasets import catalog
from datasets.bethesda import LabelSet
from datasets.crops import Picture, read_own_png
from datasets.embeddings import EmbeddingStore
from datasets.errors import StoreError
from labeling import labels as desk
from labeling import suggestions, tables
from labeling.accounts import is_usable_name
from labeling.errors import AccountError, LabelRefused
from labeling.export import EVERYTHING, ExportReport, export_labels
from labeling.export.groups import groups_of
from labeling.export.rows import Study as RowStudy
from labeling.imports.store import batches
from labeling.labels import LabelEvent, UndoEvent

_EVENTS_PER_TRANSACTION = 500
"""Doctors who label meanwhile wait for so many at most."""


def open_study(home: str | Path, *, annotator: str | None = None) -> "Study":
    """Open a study that is there.

    A study of an older version is brought up to date, as every command does; nothing else is written
    unless `annotator` is given.

    Args:
        home: The study's folder.
        annotator: In whose name labels are written; None: the study can only be read.

    Raises:
        DatabaseError: There is no study in this folder, or a newer version of the program made it.
        AccountError: The annotator's name is not usable.
    """
    if annotator is not None and not is_usable_name(annotator):
        raise AccountError(f"annotator {annotator!r}: use 1 to 64 visible characters.")
    return Study(Services.open_existing(Path(home).expanduser().resolve()), annotator)


class Study:
    """An open study; made by `open_study`. Close it, or use it in a `with` block.

    What is called `..._table` or `..._batches` is Arrow; the same without is pandas.
    """

    def __init__(self, services: Services, annotator: str | None) -> None:
        self._services = services
        self.annotator = annotator

    def __enter__(self) -> Self:
        """Return the study itself."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None,
                 _traceback: TracebackType | None) -> None:  # fmt: skip
        """Close the study."""
        self.close()

    def close(self) -> None:
        """Give back the connections to the database."""
        self._services.database.close()

    @property
    def home(self) -> Path:
        """The study's folder."""
        return self._services.home

    @property
    def label_set(self) -> LabelSet:
        """The answers of the study, in order."""
        return self._services.label_set

    # ---- reading

    def cells(self) -> pd.DataFrame:
        """Return all cells, indexed by `cell`: see `cells_table`."""
        frame: pd.DataFrame = self.cells_table().to_pandas()
        return frame.set_index("cell")

    def cells_table(self) -> pa.Table:
        """Return all cells, ordered by id (a keyed hash: no order of slide or class).

        Returns:
            Columns `cell`, `slide`; `x_px`, `y_px`: centre in level-0 pixels of the slide, null for a
            picture of one cell; `slide_mpp`, `crop_mpp`: micrometres per pixel of the slide and of the
            cell's crop, null where nobody knows; `origin`: "imported", "detected", "grid" or "drawn"; `added_at`: UTC.
        """
        return pa.Table.from_batches(tables.cell_batches(self._services.database), tables.CELLS)

    def crop(self, cell: str) -> Picture:
        """Return a cell's picture, RGB, shape (side, side, 3), uint8; its scale is the cell's `crop_mpp`.

        Raises:
            StoreError: There is no such cell.
        """
        if cell not in catalog.crop_scales(self._services.database, [cell]):
            raise StoreError(f"cell {cell[:40]}: not in the catalogue of this study.")
        return read_own_png(catalog.crop_path(self.home, cell))

    def labels(self, **wanted: Unpack[Wanted]) -> pd.DataFrame:
        """Return labels, one row each, in the order in which they were stored; see `Wanted` for what to ask.

        Returns:
            The columns of the exported tables (`labeling.tables.LABELS`): cell, slide and place, annotator,
            category, times in UTC, what was suggested and by which probe and encoder, `is_current`, `split`.
        """
        frame: pd.DataFrame = self.labels_table(**wanted).to_pandas()
        return frame

    def labels_table(self, **wanted: Unpack[Wanted]) -> pa.Table:
        """Return what `labels` returns, as one Arrow table."""
        return pa.Table.from_batches(self.label_batches(**wanted), tables.LABELS)

    def label_batches(self, **wanted: Unpack[Wanted]) -> Iterator[pa.RecordBatch]:
        """Yield what `labels` returns in parts of 10,000 rows: memory does not grow with their number."""
        study = RowStudy(label_set=self.label_set, crop_px=self._services.settings.crop_px,
                         groups=groups_of(self._services.database))  # fmt: skip
        return tables.label_batches(self._services.database, study, selection(wanted, otherwise=("label",)))

    def embeddings(self) -> pd.DataFrame:
        """Return the vectors of the present encoder: indexed by `cell`, shape (cells, dim), float32.

        Raises:
            StoreError: There are none yet.
        """
        store = self._store()
        index = pd.Index(store.cell_ids, name="cell")
        return pd.DataFrame(store.stack()[:].astype(np.float32), index=index)

    def embeddings_table(self) -> pa.Table:
        """Return the vectors as columns `cell` and `vector` (fixed size, float16).

        The table's metadata names the encoder (`encoder_fingerprint`).

        Raises:
            StoreError: There are none yet.
        """
        return tables.embeddings_table(self._store())

    def vectors(self, cells: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of some cells in the given order, shape (len(cells), dim); only they are read.

        Raises:
            StoreError: There are no vectors yet, or a cell has none.
        """
        store = self._store()
        rows = store.row_of()
        lacking = [cell for cell in cells if cell not in rows]
        if lacking:
            raise StoreError(f"{len(lacking)} cells have no vector ({lacking[0][:40]}, ...); run `cytojepa embed`.")
        return store.stack()[np.array([rows[cell] for cell in cells], np.intp)].astype(np.float32)

    def suggestions(self) -> pd.DataFrame:
        """Return what the probe says now, indexed by `cell`: see `suggestions_table`."""
        frame: pd.DataFrame = self.suggestions_table().to_pandas()
        return frame.set_index("cell")

    def suggestions_table(self) -> pa.Table:
        """Return what the probe says now of every cell that has a vector.

        Returns:
            Columns `cell`, `category`, `probability` (0 to 1, calibrated), and `p_<category>` for each
            class; no rows before the first fit. The metadata names `probe` and `encoder_fingerprint`.
        """
        store = self._services.store()
        found = suggestions.current(self._services.database, self._services.probes_folder, store)
        if store is None or found is None:
            return pa.table({"cell": pa.array([], pa.string()), "category": pa.array([], pa.string()),
                             "probability": pa.array([], pa.float32())})  # fmt: skip
        return tables.suggestions_table(store, found)

    def export(self, format_name: str, out: str | Path, **wanted: Unpack[Wanted]) -> ExportReport:
        """Write labels as `cytojepa export` does: the same study gives the same bytes.

        Args:
            format_name: One of `labeling.export.FORMATS`.
            out: A new or replaced file; for formats of many files a new folder.
            wanted: See `Wanted`; without `references` what the format holds, with False labels alone.

        Raises:
            LabelingError: An unknown format, or a folder that is not empty.
            ValueError: A moment without a time zone.
        """
        return export_labels(
            self._services.database, format_name, Path(out), label_set=self.label_set,
            crop_px=self._services.settings.crop_px, selection=selection(wanted, otherwise=EVERYTHING.kinds),
        )  # fmt: skip

    # ---- writing

    def write_labels(self, answers: Answers, *, batch: str) -> pd.DataFrame:
        """Store labels as the annotator, each as an event of the study's chain; running it again adds none.

        A label's key is made of annotator, batch and cell: name a new batch to answer a cell anew. A refused
        label never costs the others: look at `accepted`.

        Args:
            answers: Category by cell, or a frame with the columns `cell` and `category`, and any of `key`,
                `confidence` ("sure", "unsure"), `comment`, `seconds`, `decided_at` (with time zone).
            batch: Of which piece of work; the chain of events names it.

        Returns:
            `cell`, `key`, `accepted` and `reason` (why it was refused), in the given order.

        Raises:
            LabelRefused: The study is open for reading only, or a column is missing or unknown.
        """
        annotator = self._writer()
        events = label_events(answers, annotator=annotator, batch=batch)
        receipts = self._record(annotator, events, batch)
        return pd.DataFrame(
            {"cell": [event.cell_id for event in events], "key": [r.key for r in receipts],
             "accepted": [r.accepted for r in receipts], "reason": [r.reason for r in receipts]}
        )  # fmt: skip

    def take_back(self, keys: Sequence[str], *, batch: str) -> pd.DataFrame:
        """Take the annotator's own labels back, by their keys; they stay on record as taken back.

        Returns:
            `key`, `accepted` and `reason`, in the given order.

        Raises:
            LabelRefused: The study is open for reading only.
        """
        annotator = self._writer()
        undos = [UndoEvent(key=event_key("undo", annotator, batch, key), label_key=key) for key in keys]
        receipts = self._record(annotator, undos, batch)
        return pd.DataFrame({"key": list(keys), "accepted": [r.accepted for r in receipts],
                             "reason": [r.reason for r in receipts]})  # fmt: skip

    def _record(self, annotator: str, events: Sequence[LabelEvent | UndoEvent], batch: str) -> list[desk.Receipt]:
        settings = self._services.settings
        return [
            receipt
            for part in batches(events, _EVENTS_PER_TRANSACTION)
            for receipt in desk.record(
                self._services.database, annotator, part, label_set=settings.label_set, reads=settings.reads,
                lease_seconds=settings.lease_seconds, via=f"Python: {batch}",
            )
        ]  # fmt: skip

    def _writer(self) -> str:
        if self.annotator is None:
            raise LabelRefused(
                "the study is open for reading only; name the annotator: open_study(..., annotator=...)."
            )
        return self.annotator

    def _store(self) -> EmbeddingStore:
        store = self._services.store()
        if store is None:
            raise StoreError("there are no vectors yet; run `cytojepa embed`.")
        return store
