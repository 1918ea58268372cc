"""What `ingest` says in its few lines."""

from collections import Counter

from app.commands.ingest import kinds_left_behind


def test_what_was_left_behind__names_kinds_but_counts_dicom_attributes() -> None:
    removed = Counter({"label picture": 2, "DICOM PatientName": 3, "DICOM StudyID": 1})

    assert kinds_left_behind(removed) == "label picture (2), 2 attributes of DICOM headers (3; --json names them)"
