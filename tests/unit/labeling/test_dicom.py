"""Labels as DICOM annotations, read back by highdicom."""

import highdicom
import numpy as np
import pydicom

from labeling.export import export_labels


def test_dicom__points_groups_and_codes(rich, tmp_path) -> None:
    report = export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set)
    names = [path.name for path in report.files]
    found = highdicom.ann.annread(tmp_path / "ann" / "SL-BBBBBBBBBBBBB.dcm")
    groups = {group.label: group for group in found.get_annotation_groups()}
    points = np.concatenate(groups["HSIL (ada)"].get_graphic_data("2D"))

    assert names == ["SL-AAAAAAAAAAAAA.dcm", "SL-BBBBBBBBBBBBB.dcm"]
    assert report.rows == 19  # 18 of the two doctors, one that came with the data; single-cell pictures have no place
    assert sorted(points.tolist()) == [[45.25, 45.5], [195.25, 135.5]]
    code = groups["HSIL (ada)"].annotated_property_type
    assert (code.value, code.scheme_designator, code.meaning) == ("HSIL", "99CYTOJEPA", "HSIL")
    assert found.PatientName == ""
    assert found.PatientID == "SL-BBBBBBBBBBBBB"


def test_dicom__refers_to_one_slide_by_the_same_uid_each_time(rich, tmp_path) -> None:
    first, second = (
        export_labels(rich.database, "dicom-ann", tmp_path / name, label_set=rich.label_set) for name in "ab"
    )
    one, two = (pydicom.dcmread(report.files[0]) for report in (first, second))

    assert one == two
    assert first.sha256 == second.sha256
    assert one.ReferencedImageSequence == two.ReferencedImageSequence
    assert one.SOPClassUID == "1.2.840.10008.5.1.4.1.1.91.1"
