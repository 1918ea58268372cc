"""Labels as DICOM annotations, read back by highdicom."""

import highdicom
import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from pydicom.sr._concepts_dict import concepts

from labeling.adjudication import VerdictEvent, decide
from labeling.answers import current_labels
from labeling.errors import LabelingError
from labeling.export import export_labels
from labeling.export.dicom_codes import SNOMED_CT, category_of, code_of
from labeling.export.rows import Selection
from labeling.imports import import_file
from labeling.imports.store import ImportedLabel, store_labels
from labeling.labels import LabelEvent, record
from tests.slide_files import dicom_errors


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


def test_dicom__an_independent_validator_finds_no_error(rich, cells, tmp_path) -> None:
    events = [LabelEvent(key=c, cell_id=cells[n], category=c) for n, c in enumerate(rich.label_set.ids)]
    assert all(r.accepted for r in record(rich.database, "ida", events, label_set=rich.label_set))
    report = export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set)

    assert [dicom_errors(path) for path in report.files] == [[], []]
    (tmp_path / "broken.dcm").write_bytes(report.files[0].read_bytes())
    broken = pydicom.dcmread(tmp_path / "broken.dcm")
    del broken.AnnotationGroupSequence
    broken.save_as(tmp_path / "broken.dcm")
    assert dicom_errors(tmp_path / "broken.dcm"), "the validator sees what is missing"


def test_dicom__codes_are_snomed_ct_only_where_dicom_lists_them(rich) -> None:
    found = {name: code_of(name, rich.label_set) for name in rich.label_set.ids}

    assert {name for name, code in found.items() if code.scheme == "SCT"} == {"SCC", "adenocarcinoma"}
    for code in SNOMED_CT.values():
        known = concepts["SCT"]
        assert any(code.value in values and 638 in values[code.value][1] for values in known.values()), code
    assert {category_of(c.value, c.scheme, rich.label_set): name for name, c in found.items()} == {
        name: name for name in rich.label_set.ids
    }


def test_dicom__comes_back_cell_by_cell_with_category_and_annotator(rich, empty_copy, tmp_path) -> None:
    export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set)
    for path in list((tmp_path / "ann").iterdir()):
        path.rename(path.with_name(f"received-{path.name[-7:]}"))  # an archive gives files its own names
    report = import_file(empty_copy.database, tmp_path / "ann", label_set=rich.label_set)
    again = import_file(empty_copy.database, tmp_path / "ann", label_set=rich.label_set)
    with rich.database.read() as session:
        want = {(x.cell_id, x.annotator, x.category) for x in current_labels(session, include_imported=True)}
    with empty_copy.database.read() as session:
        found = {(x.cell_id, x.annotator, x.category) for x in current_labels(session, include_imported=True)}

    assert (report.labels, report.refused, again.labels, again.known) == (19, [], 0, 19)
    assert found == {row for row in want if row[0] not in ("CE-0000000000012", "CE-0000000000013")}


def _current(services, tmp_path) -> list[dict]:
    """Return all columns of the current labels that lie on a slide."""
    export_labels(services.database, "parquet", tmp_path / "rows.parquet", label_set=services.label_set,
                  selection=Selection(kinds=("label",), is_current_only=True))  # fmt: skip
    rows = pq.read_table(tmp_path / "rows.parquet").drop_columns("label_id").to_pylist()
    return sorted((row for row in rows if row["x_px"] is not None), key=lambda row: row["label_key"])


def test_dicom__every_column_comes_back_through_an_archive_that_stores_implicit_vr(rich, empty_copy, tmp_path) -> None:
    report = export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set)
    for path in report.files:
        received = pydicom.dcmread(path)
        for group in received.AnnotationGroupSequence:  # and which has turned the points round
            points = np.frombuffer(group.DoublePointCoordinatesData, "<f8").reshape(-1, 2)
            group.DoublePointCoordinatesData = points[::-1].tobytes()
        received.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        received.save_as(path)
    found = import_file(empty_copy.database, tmp_path / "ann", label_set=rich.label_set)

    assert (found.labels, found.refused) == (19, [])
    assert _current(empty_copy, tmp_path) == _current(rich, tmp_path)


def test_dicom__a_name_of_any_script_stands_in_it_as_it_is(rich, cells, tmp_path) -> None:
    name = "\u5f20\u4f1f Ж\\Ö"
    labels = [ImportedLabel(cell_id=cells[1], category="HSIL", annotator=name)]
    assert store_labels(rich.database, labels).new == 1
    report = export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set,
                           selection=Selection(annotators=(name,)))  # fmt: skip
    [group] = highdicom.ann.annread(report.files[0]).get_annotation_groups()

    assert group.AnnotationGroupDescription == name
    assert group.label == "HSIL (\u5f20\u4f1f Ж/Ö)"
    assert dicom_errors(report.files[0]) == []


def test_dicom__tells_what_its_private_block_is(rich, tmp_path) -> None:
    report = export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set)
    found = pydicom.dcmread(report.files[0])
    [told] = found.PrivateDataElementCharacteristicsSequence
    private = [element for element in found.iterall() if element.tag.is_private and not element.tag.is_private_creator]

    assert (told.PrivateGroupReference, told.PrivateCreatorReference) == (0x0077, "CYTOJEPA LABELS")
    assert told.BlockIdentifyingInformationStatus == "UNSAFE"
    assert {(e.tag.group, e.tag.element & 0xFF, e.private_creator) for e in private} == {(0x77, 1, "CYTOJEPA LABELS")}
    assert len(private) == len(found.AnnotationGroupSequence)


def test_dicom__other_labels_make_another_instance(rich, cells, tmp_path) -> None:
    """Reference labels have no key of their own: the same cells with another category are not the same object."""
    uids = []
    for number, category in enumerate((None, "ASC-H")):
        if category is not None:
            verdict = VerdictEvent(key="v", cell_id=cells[0], category=category)
            assert decide(rich.database, "zoe", [verdict], label_set=rich.label_set)[0].accepted
        report = export_labels(rich.database, "dicom-ann", tmp_path / f"{number}", label_set=rich.label_set,
                               selection=Selection(kinds=("reference",), slides=("SL-AAAAAAAAAAAAA",)))  # fmt: skip
        uids.append(pydicom.dcmread(report.files[0]).SOPInstanceUID)

    assert uids[0] != uids[1]


def test_dicom__a_class_that_another_program_changed_needs_a_name(rich, empty_copy, tmp_path) -> None:
    report = export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set)
    changed = pydicom.dcmread(report.files[0])
    group = next(g for g in changed.AnnotationGroupSequence if g.AnnotationGroupDescription == "ada")
    group.AnnotationPropertyTypeCodeSequence[0].CodeValue = "ASC-H"
    changed.save_as(report.files[0])
    unnamed = import_file(empty_copy.database, report.files[0], label_set=rich.label_set)

    assert len(unnamed.refused) == group.NumberOfAnnotations
    assert {reason.partition("; ")[2] for _, reason in unnamed.refused} == {"say by whom with --annotator NAME."}


@pytest.mark.parametrize("text", ["{", "[]", '{"columns": 1, "rows": []}', '{"columns": ["x_px"], "rows": [[1, 2]]}',
                                  '{"columns": ["x_px", "y_px"], "rows": [[[], {}]]}'])  # fmt: skip
def test_dicom__a_spoilt_private_block_leaves_what_the_standard_carries(rich, empty_copy, tmp_path, text) -> None:
    report = export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set)
    spoilt = pydicom.dcmread(report.files[0])
    for group in spoilt.AnnotationGroupSequence:
        group.private_block(0x77, "CYTOJEPA LABELS")[1].value = text
    spoilt.save_as(report.files[0])
    found = import_file(empty_copy.database, report.files[0], label_set=rich.label_set)

    assert (found.labels > 5, found.refused) == (True, [])


def test_dicom__foreign_shapes_on_our_slide_are_taken_and_the_rest_is_listed(rich, empty_copy, tmp_path) -> None:
    report = export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set)
    ann = pydicom.dcmread(report.files[1])
    group = ann.AnnotationGroupSequence[0]
    ann.AnnotationGroupSequence = [group]
    group.AnnotationPropertyTypeCodeSequence[0].CodeValue = "1"
    group.AnnotationPropertyTypeCodeSequence[0].CodingSchemeDesignator = "99OTHER"
    group.AnnotationPropertyTypeCodeSequence[0].CodeMeaning = "hsil"
    group.GraphicType, group.NumberOfAnnotations = "POLYGON", 2
    boxes = np.array([[40, 40], [50, 40], [50, 50], [40, 50], [300, 10], [302, 10], [302, 12]], np.float32)
    del group.DoublePointCoordinatesData
    group.PointCoordinatesData = boxes.tobytes()
    group.LongPrimitivePointIndexList = np.array([1, 9], np.int32).tobytes()
    ann.save_as(tmp_path / "foreign.dcm")
    found = import_file(empty_copy.database, tmp_path / "foreign.dcm", label_set=rich.label_set, annotator="eva")

    assert found.labels == 1
    assert [where for where, _ in found.refused] == ["foreign.dcm, group 1, annotation 2"]
    assert "no cell within" in found.refused[0][1]


def test_dicom__another_object_is_refused_in_words(services, cells, tmp_path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    with pytest.raises(LabelingError, match="not a DICOM object of simple annotations"):
        import_file(services.database, tmp_path / "a.dcm", label_set=services.label_set)


@pytest.mark.parametrize(("kind", "origin", "reason"), [
    ("2D", "FRAME", "counted from a frame"), ("3D", None, "millimetres in space"),
])  # fmt: skip
def test_dicom__points_that_are_no_pixels_of_the_slide_are_listed(
    rich, empty_copy, tmp_path, kind, origin, reason
) -> None:
    report = export_labels(rich.database, "dicom-ann", tmp_path / "ann", label_set=rich.label_set)
    ann = pydicom.dcmread(report.files[0])
    ann.AnnotationCoordinateType, ann.PixelOriginInterpretation = kind, origin
    if kind == "3D":
        del ann.PixelOriginInterpretation
        ann.FrameOfReferenceUID = pydicom.uid.generate_uid()
    for group in ann.AnnotationGroupSequence:
        group.private_block(0x77, "CYTOJEPA LABELS")[1].value = "{}"
        if kind == "3D":
            group.CommonZCoordinateValue = 0.0
    ann.save_as(tmp_path / "foreign.dcm")
    found = import_file(empty_copy.database, tmp_path / "foreign.dcm", label_set=rich.label_set)

    assert found.labels == 0
    assert len(found.refused) == 10
    assert all(reason in told for _, told in found.refused)
