"""Hamamatsu VMS, drawn, and Olympus VSI: the pictures beside a scan are its parts, and no fields of their own."""

from pathlib import Path

import numpy as np
from PIL import Image

from app.intake import take_in
from app.services import Services
from datasets import catalog, originals
from datasets.public import plan
from datasets.sandbox import Decoder
from datasets.synthetic import draw_slide

_INDEX = """[Virtual Microscope Specimen]
NoLayers=1
NoJpegColumns=1
NoJpegRows=1
ImageFile={name}.jpg
MapFile={name}_map2.jpg
OptimisationFile={name}.opt
AuthCode=DOE
MacroImage={name}_macro.jpg
SourceLens=40
PhysicalWidth={width_nm}
PhysicalHeight={height_nm}
PhysicalMacroWidth=1
PhysicalMacroHeight=1
LayerSpacing=0
"""


def _write_vms(folder: Path, name: str, picture: np.ndarray, *, mpp: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    height, width = picture.shape[:2]

    def save(suffix: str, pixels: np.ndarray) -> None:
        # Restart marks after each row of blocks: by them OpenSlide finds a part without decoding what lies before it.
        Image.fromarray(pixels).save(folder / f"{name}{suffix}.jpg", quality=92, subsampling=1, restart_marker_rows=1)

    save("", picture)
    save("_map2", picture[::4, ::4])
    save("_macro", np.full((64, 160, 3), (250, 30, 200), np.uint8))
    (folder / f"{name}.opt").write_bytes(b"\0" * 40)
    index = folder / f"{name}.vms"
    index.write_text(_INDEX.format(name=name, width_nm=round(width * mpp * 1000), height_nm=round(height * mpp * 1000)))
    return index


def test_vms__is_one_slide_and_its_macro_picture_is_no_field(services: Services, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    truth = draw_slide(generator).image[:512, :1024]
    _write_vms(tmp_path / "in", "Doe, Jane", truth, mpp=0.23)
    _write_vms(tmp_path / "in", "b", draw_slide(generator).image[:512, :1024], mpp=0.23)

    report = take_in(services, plan(tmp_path / "in")).report
    slides = catalog.slides_with_pictures(services.database)

    assert (report.slides, report.refused) == (2, [])
    assert {(s.kind, s.width_px, s.height_px, s.mpp_source) for s in slides} == {("slide", 1024, 512, "file")}
    assert all(abs((s.mpp or 0) - 0.23) < 0.001 for s in slides)
    with Decoder() as decoder:
        seen = [decoder.read_region(originals.files_of(services.home, s.id), 0, 0, 1024, 512) for s in slides]
    assert min(np.abs(picture.astype(int) - truth).mean() for picture in seen) < 4


def test_vms__that_lost_a_part_gives_no_fields_either(services: Services, tmp_path: Path) -> None:
    _write_vms(tmp_path / "in", "a", np.full((512, 1024, 3), 240, np.uint8), mpp=0.23)
    (tmp_path / "in" / "a.jpg").unlink()

    report = take_in(services, plan(tmp_path / "in")).report

    assert report.slides == 0
    assert [path.name for path, _ in report.refused] == ["a.vms"]


def test_vsi__is_refused_and_its_small_picture_is_not_taken_for_it(services: Services, tmp_path: Path) -> None:
    parts = tmp_path / "in" / "_scan_" / "stack1"
    parts.mkdir(parents=True)
    (parts / "frame_t_0.ets").write_bytes(b"SIS\0")
    Image.fromarray(np.full((300, 400, 3), 240, np.uint8)).save(tmp_path / "in" / "scan.vsi", "TIFF")

    report = take_in(services, plan(tmp_path / "in")).report

    assert report.slides == 0
    ((path, reason),) = report.refused
    assert path.name == "scan.vsi"
    assert ".ets" in reason
    assert "OME-TIFF" in reason
