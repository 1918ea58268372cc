"""Files as other programs really write them: every label in its place, or listed with the reason."""

import json
import math

import pytest

from labeling.errors import LabelingError
from labeling.imports import import_file
from labeling.records import Label

SLIDE = "SL-BBBBBBBBBBBBB"
AT = {1: (45.25, 45.5), 3: (95.25, 75.5), 5: (145.25, 105.5)}
"""Where three cells of the slide lie."""


def _import(services, path, content, **options):
    path.write_text(json.dumps(content))
    report = import_file(services.database, path, label_set=services.label_set, **{"annotator": "eva", **options})
    with services.database.read() as session:
        stored = sorted((int(row.cell_id[-2:]), row.annotator, row.category) for row in session.query(Label))
    return report, stored


def _feature(kind, geometry, **more) -> dict:
    properties = {"objectType": "annotation", **({"classification": kind} if kind else {}), **more}
    return {"type": "Feature", "id": "8e5a", "geometry": geometry, "properties": properties}


def test_qupath__points_of_the_counting_tool_nested_classes_nuclei_children_and_heights(
    services, cells, tmp_path
) -> None:
    box = [[[x, y] for x, y in ((200, 10), (390, 10), (390, 290), (200, 290), (200, 10))]]
    nucleus = [[[140, 100], [150, 100], [150, 111], [140, 111], [140, 100]]]
    cell = {**_feature({"names": ["HSIL", "Positive"]}, {"type": "Polygon", "coordinates": box}),
            "nucleusGeometry": {"type": "Polygon", "coordinates": nucleus}}  # fmt: skip
    points = {"type": "MultiPoint", "coordinates": [[*AT[1], 0.5], [*AT[3], 0.5], [399, 1]]}
    root = _feature(None, {"type": "Point", "coordinates": [1, 1]}, objectType="root", childObjects=[cell])
    report, stored = _import(services, tmp_path / f"{SLIDE}.geojson", {"type": "FeatureCollection", "features": [
        _feature({"name": "LSIL: Ki67: Negative", "colorRGB": -1}, points), root,
        _feature({"name": "LSIL: HSIL"}, {"type": "Point", "coordinates": AT[1]}),
        _feature(None, {"type": "Polygon", "coordinates": box}),
    ]})  # fmt: skip

    assert stored == [(1, "eva", "LSIL"), (3, "eva", "LSIL"), (5, "eva", "HSIL")]
    assert [where for where, _ in report.refused] == ["object 1, point 3", "object 3", "object 4"]
    assert "category LSIL: HSIL: not in the label set" in report.refused[1][1]
    assert report.left_out == {"nested classes": 3}


def test_qupath__a_file_of_one_object(services, cells, tmp_path) -> None:
    one = _feature({"name": "SCC"}, {"type": "Point", "coordinates": AT[3]})

    assert _import(services, tmp_path / f"{SLIDE}.geojson", one)[1] == [(3, "eva", "SCC")]


def _region(name: str, kind: str, value: dict, **more) -> dict:
    return {"id": name, "type": kind, "original_width": 400, "original_height": 300, "value": value, **more}


def test_labelstudio__regions_of_a_field_by_several_people(services, cells, tmp_path) -> None:
    def percent(cell: int) -> tuple[float, float]:
        return AT[cell][0] / 4, AT[cell][1] / 3

    (x, y), (u, v), (p, q) = percent(1), percent(3), percent(5)
    turned = {"x": (145.25 + 10) / 4, "y": (105.5 - 20) / 3, "width": 10, "height": 20 / 3, "rotation": 90}
    mine = [_region("a", "rectanglelabels", {"x": x - 2, "y": y - 3, "width": 4, "height": 6, "rotation": 0,
                                             "rectanglelabels": ["HSIL"]}),
            _region("b", "ellipse", {"x": u, "y": v, "radiusX": 3, "radiusY": 2, "rotation": 0}),
            _region("b", "choices", {"choices": ["LSIL"]}),
            _region("c", "polygonlabels", {"points": [[p - 1, q - 1], [p + 1, q - 1], [p, q + 1]],
                                           "polygonlabels": ["ASC-H"]}),
            {"from_id": "a", "to_id": "b", "type": "relation"}]  # fmt: skip
    other = [_region("d", "keypointlabels", {"x": x, "y": y, "width": 0.5, "keypointlabels": ["SCC"]}),
             _region("e", "rectanglelabels", {**turned, "rectanglelabels": ["AGC"]}),
             _region("f", "rectanglelabels", {**turned, "rectanglelabels": ["AGC", "SCC"]})]  # fmt: skip
    task = {"id": 7, "data": {"img": f"/data/upload/3/0a1b2c3d-{SLIDE}.png"}, "annotations": [
        {"id": 1, "completed_by": {"email": "ann"}, "was_cancelled": False, "result": mine},
        {"id": 2, "completed_by": 4, "result": other},
        {"id": 3, "completed_by": 5, "was_cancelled": True, "result": mine},
        {"id": 4, "completed_by": 5, "result": []},
    ]}  # fmt: skip
    report, stored = _import(services, tmp_path / "t.json", [task, {"id": 8, "data": {"img": "x.png"}}], annotator=None)

    assert math.isclose(turned["x"] * 4 - 10, AT[5][0])
    assert stored == [(1, "4", "SCC"), (1, "ann", "HSIL"), (3, "ann", "LSIL"), (5, "4", "AGC"), (5, "ann", "ASC-H")]
    assert report.refused == [
        ("task 7, annotation 2, region 3", f"category AGC + SCC: not in the label set bethesda "
                                           f"({', '.join(services.label_set.ids)})."),
        ("task 7, annotation 4", "it has no class."), ("task 8", "it has no list of annotations."),
    ]  # fmt: skip


@pytest.mark.parametrize("content", [
    [{"id": 1, "image": "a.png", "choice": "HSIL", "annotator": 1}],
    [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9}],
])  # fmt: skip
def test_other_lists__are_refused_and_not_read_as_nothing(services, cells, tmp_path, content) -> None:
    with pytest.raises(LabelingError, match="neither GeoJSON nor COCO nor CRIC nor tasks"):
        _import(services, tmp_path / "a.json", content)


def test_coco__masks_keypoints_and_what_is_no_number(services, cells, tmp_path) -> None:
    x, y = AT[1]
    mask = {"size": [300, 400], "counts": "PPYo0"}
    content = {"images": [{"id": 1, "file_name": f"{SLIDE}.png"}], "categories": [{"id": 3, "name": "HSIL"}],
               "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 1, "segmentation": mask, "bbox": [x - 9, y - 9, 18, 18]},
        {"id": 2, "image_id": "1", "category_id": "3", "keypoints": [140, 100, 2], "num_keypoints": 1, "bbox": [],
         "segmentation": [[90, 70, 100, 70, 100, 81, 90, 81]]},
        {"id": 3, "image_id": 1, "category_id": 3, "segmentation": mask},
        {"id": 4, "image_id": 1, "category_id": 3, "bbox": [10**400, 1, 1, 1]},
        {"id": 5, "image_id": [1], "category_id": {}, "bbox": [x, y, 1, 1]},
        {"id": "\ud83d", "image_id": 1, "category_id": 3, "cytojepa": {"comment": "\ud83d"}},
    ]}  # fmt: skip
    report, stored = _import(services, tmp_path / "a.json", content)

    assert stored == [(1, "eva", "HSIL"), (3, "eva", "HSIL")]
    assert [where for where, _ in report.refused] == [f"annotation {n}" for n in (3, 4, 5, "?")]
    assert report.refused[-1][1] == "half a character in ?; take it out."
    assert _import(services, tmp_path / "b.json", {**content, "images": None, "categories": None})[0].labels == 0
