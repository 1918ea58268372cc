"""Which slides are of one patient: they must stand on the same side of every split.

Known from the de-identified copies of DICOM slides (their patient is a keyed pseudonym), or from a
table that the operator gives. The patient itself stands in no export: only the side follows from it.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from datasets import catalog
from datasets.copies import dicom_copies_of
from datasets.db import Database
from labeling.errors import LabelingError

_COLUMNS = {"slide", "patient"}


def groups_of(database: Database, table: Path | None = None) -> dict[str, str]:
    """Return the group of each slide that shares one; a slide that is not in it is its own.

    Args:
        database: The study's database.
        table: CSV with the columns slide (study code) and patient (any word, which is not exported).

    Raises:
        LabelingError: The table has not these columns, or names a slide that the study has not.
    """
    known = catalog.slide_ids(database)
    found = {slide: patient for slide in sorted(known) if (patient := _patient_of(database.folder, slide))}
    return found if table is None else {**found, **_read(table, known)}


def _patient_of(home: Path, slide_id: str) -> str | None:
    import pydicom  # half a second; most studies have no DICOM slide

    for path in dicom_copies_of(home, slide_id):
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"])
        return str(header.PatientID)
    return None


def _read(table: Path, known: set[str]) -> Mapping[str, str]:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        if not set(rows.fieldnames or ()) >= _COLUMNS:
            raise LabelingError(f"{table.name}: the columns slide and patient are needed.")
        groups = {row["slide"]: f"patient {row['patient']}" for row in rows if row["slide"] and row["patient"]}
    strangers = sorted(set(groups) - known)
    if strangers:
        raise LabelingError(f"{table.name}: {strangers[0]} is no slide of this study ({len(strangers)} unknown).")
    return groups
