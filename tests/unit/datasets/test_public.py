"""Which layout a folder has: known sets by the folders of their archives, a hospital's own by what lies in it."""

import pytest

from datasets.public import plan
from datasets.stacks import as_stacks


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_sipakmed__cells_are_the_cropped_ones_grouped_by_their_picture(tmp_path):
    for word in ("Dyskeratotic", "Koilocytotic", "Metaplastic", "Parabasal", "Superficial-Intermediate"):
        twice = f"SIPaKMeD/im_{word}/im_{word}"
        make(tmp_path, f"{twice}/001.bmp", f"{twice}/001.dat")
        make(tmp_path / twice / "CROPPED", "001_01.bmp", "001_02.bmp", "002_01.bmp", "001_01_cyt.dat")
    found = plan(tmp_path)

    assert found.layout == "cells"
    assert len(found.cells) == 15
    assert {cell.path.parent.name for cell in found.cells} == {"CROPPED"}
    assert {cell.category for cell in found.cells} >= {"im_Dyskeratotic", "im_Metaplastic"}
    # Picture 001 of one class is not picture 001 of another.
    assert len({cell.group for cell in found.cells}) == 10
    assert (found.mpp, found.mpp_source) == (None, "unknown")
    assert "Plissiti" in found.notes[0]


def test_mendeley__pictures_are_fields_and_no_cell_has_a_label(tmp_path):
    make(tmp_path, "High squamous intra-epithelial lesion/HSIL_1 (1).jpg",
         "Low squamous intra-epithelial lesion/LSIL_1 (1).jpg",
         "Negative for Intraepithelial malignancy/NL_1 (1).jpg", "Squamous cell carcinoma/scc_1 (1).jpg")  # fmt: skip
    found = plan(tmp_path)

    assert (found.layout, len(found.fields), found.cells) == ("slides", 4, ())
    assert not any(field.points for field in found.fields)
    assert any("no cell was labelled" in note for note in found.notes)


def test_herlev__is_grouped_by_slide_over_classes(tmp_path):
    make(tmp_path, "normal_columnar/153826-1-001.jpg", "light_dysplastic/153826-1-002.jpg",
         "light_dysplastic/2-3-001.jpg")  # fmt: skip
    found = plan(tmp_path)

    assert [cell.group for cell in found.cells] == ["153826-1", "2-3", "153826-1"]
    assert found.mpp == pytest.approx(0.201)


def test_herlev__as_its_archive_unpacks_has_no_outline_for_a_cell(tmp_path):
    root = tmp_path / "smear2005" / "New database pictures"
    make(root, "normal_columnar/153826-1-001.BMP", "normal_columnar/153826-1-001-d.bmp",
         "carcinoma_in_situ/2-3-001.BMP", "carcinoma_in_situ/2-3-001-d.bmp")  # fmt: skip
    make(tmp_path / "smear2005", "New database.xls", "About the data/readme.txt")
    found = plan(tmp_path)

    assert [cell.path.name for cell in found.cells] == ["2-3-001.BMP", "153826-1-001.BMP"]
    assert (found.mpp, "Jantzen" in found.notes[0]) == (0.201, True)
    assert plan(root).cells == found.cells


def test_cric__its_own_table_names_the_points_of_its_fields(tmp_path):
    make(tmp_path / "cric", "classifications.json", "base/a.png", "base/b.png")
    (tmp_path / "cric" / "classifications.csv").write_text(
        "image_id,image_filename,image_doi,cell_id,bethesda_system,nucleus_x,nucleus_y\n"
        "1,a.png,10.6084/m9,5277,ASC-H,101,79\n1,a.png,10.6084/m9,5278,Negative for intraepithelial lesion,7,8\n"
    )
    for folder in (tmp_path, tmp_path / "cric"):
        found = plan(folder)
        points = {field.path.name: [(p.x, p.y, p.category) for p in field.points] for field in found.fields}

        assert points == {"a.png": [(101, 79, "ASC-H"), (7, 8, "NILM")], "b.png": []}
        assert (found.layout, found.mpp, found.mpp_source) == ("cric", 0.247, "published: CRIC")


def test_own_class_folders__are_nobodys_set(tmp_path):
    make(tmp_path, "good/a.png", "bad/b.png")
    found = plan(tmp_path)

    assert [(cell.category, cell.group) for cell in found.cells] == [("bad", None), ("good", None)]
    assert found.notes == ()


def test_hospital_folder__with_one_folder_inside__is_a_folder_of_slides(tmp_path):
    make(tmp_path, "2024/case 1/a.svs", "2024/case 1/b.svs")

    assert len(plan(tmp_path).fields) == 2


def test_scans_beside_what_looks_like_a_set__are_not_left_out(tmp_path):
    make(tmp_path / "years", "2023/a.tif", "2024/b.svs")
    (tmp_path / "years" / "2023" / "list.csv").write_text("image,bethesda_system,x,y\na.tif,NILM,1,1\n")
    make(tmp_path / "mixed", "A/light_dysplastic/1-2-001.bmp", "A/normal_columnar/1-2-002.bmp", "B/b.svs")
    found = {name: {file.path.name for file in plan(tmp_path / name).fields} for name in ("years", "mixed")}

    assert found == {"years": {"a.tif", "list.csv", "b.svs"}, "mixed": {"1-2-001.bmp", "1-2-002.bmp", "b.svs"}}
    assert len(plan(tmp_path / "mixed" / "A").cells) == 2


def test_table_that_cannot_be_read__is_none_of_points(tmp_path):
    make(tmp_path, "in/a.png")
    (tmp_path / "in" / "a.csv").mkdir()
    (tmp_path / "in" / "b.csv").symlink_to(tmp_path / "nowhere.csv")
    (tmp_path / "in" / "c.csv").write_text("x" * 200_000)

    assert plan(tmp_path).layout == "slides"


def test_cervix93__its_marks_are_points_and_its_planes_wait_for_a_distance(tmp_path):
    root = tmp_path / "cytology_dataset-0df8c8f" / "dataset"
    names = [f"EDF/frame{n:03d}.png" for n in range(2)] + [f"frame001_stack/fov{n:03d}.png" for n in range(3)]
    make(root, *names, "labels.csv")
    (root / "EDF" / "frame000.csv").write_text("103,964\n104,919\n")
    (root / "EDF" / "frame001.csv").write_text("11,21\n")
    found = plan(tmp_path)
    stacks = as_stacks(found, 1.0).stacks

    assert [field.path.name for field in found.fields] == ["frame000.png", "frame001.png"]
    # Row and column, counted from one, as its authors' own MATLAB code reads them.
    assert [(p.x, p.y, p.category) for p in found.fields[0].points] == [(963, 102, None), (918, 103, None)]
    assert "Cervix93" in found.notes[0]
    assert [[path.name for path in stack.paths] for stack in stacks] == [["fov000.png", "fov001.png", "fov002.png"]]
    assert [(p.x, p.y) for p in stacks[0].points] == [(20, 10)]


def test_cervix93__a_broken_table_is_told(tmp_path):
    make(tmp_path / "EDF", "frame000.png", "frame001.png", "frame001.csv")
    (tmp_path / "EDF" / "frame000.csv").write_text("one,two\n")
    found = plan(tmp_path)

    assert [(path.name, reason) for path, reason in found.refused] == [("frame000.csv", "x and y must be numbers")]
    assert [field.path.name for field in found.fields] == ["frame001.png"]


def test_isbi14__real_fields_come_in_without_their_masks(tmp_path):
    make(tmp_path / "Dataset", "EDF/EDF000.png", "EDF/EDF000_GT.png", "EDF/EDF001.png", "Synthetic/trainset.mat")
    found = plan(tmp_path)

    assert [field.path.name for field in found.fields] == ["EDF000.png", "EDF001.png"]
    assert (found.layout, found.mpp) == ("slides", None)
    assert "MATLAB" in found.notes[1]
    assert plan(tmp_path / "Dataset" / "EDF").fields == found.fields


def test_isbi14__its_names_among_other_pictures_are_no_set_and_leave_none_out(tmp_path):
    make(tmp_path, "EDF000.png", "EDF001.png", "smear 7.jpg", "scan.svs")

    assert len(plan(tmp_path).fields) == 4


def test_class_folders__one_beside_them_without_a_picture_is_no_class_and_hides_none(tmp_path):
    make(tmp_path, "HSIL/a.png", "NILM/b.png", "notes/readme.txt", "empty/Thumbs.db")

    assert {cell.category for cell in plan(tmp_path).cells} == {"HSIL", "NILM"}


def test_day_folders_with_scans_deeper_inside__are_no_classes(tmp_path):
    for day in ("monday", "tuesday"):
        (tmp_path / day / "batch").mkdir(parents=True)
        (tmp_path / day / "read me.txt").write_text("scanned by night")
        (tmp_path / day / "batch" / "a.svs").write_bytes(b"II*\0")
        (tmp_path / day / "batch" / "b.jpg").write_bytes(b"\xff\xd8\xff")

    assert plan(tmp_path).layout == "slides"
