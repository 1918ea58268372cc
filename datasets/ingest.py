"""Files into the catalogue: decode at arm's length, cut crops, give codes. Twice changes nothing.

Ids are keyed hashes of the files' bytes (and of a point's place), so a second run finds everything
known, and a killed run goes on where it stopped. File names stay on the operator's terminal.
"""

from collections.abc import Sequence
from pathlib import Path

from datasets import catalog, originals
from datasets.bundles import ScanFiles, sort_files
from datasets.burned_in import burned_in_words
from datasets.catalog import Cell, CellPlane, Scan, Slide, crop_path, field_path, plane_path
from datasets.companions import parts_of
from datasets.copies import CopyReport, compare_copies, copies_of, copy_dicom, copy_scan, is_exact, remove_originals
from datasets.crops import Picture, cut_crop, encode_png
from datasets.db import Database, utc_now
from datasets.errors import DatasetError, UnreadableFile
from datasets.files import sha256_of_each, sha256_of_json, write_atomically, write_many
from datasets.focus import WINDOW_UM, sharpest, window
from datasets.folders import is_no_room, unreadable
from datasets.geometry import LARGEST_MPP, SMALLEST_MPP, plausible_mpp
from datasets.identity import cell_code, study_code
from datasets.intake_report import IngestOptions, IngestReport, ProgressCallback
from datasets.pictures import ScanPicture
from datasets.places import give_scale, overrule_scale, scale_of_slide
from datasets.public import CellFile, FieldFile, Plan, Point, StackFiles, same_picture
from datasets.readers.base import Level, SlideInfo
from datasets.sandbox import Decoder
from datasets.scan_scale import with_scale

_FLUSH_CELLS = 64
_WORDS = "something in the picture looks like printed words or a bar code: look at it before it leaves the house"


def ingest(
    database: Database, home: Path, secret_key: bytes, plan: Plan, options: IngestOptions,
    on_progress: ProgressCallback = lambda done, total: None,
) -> IngestReport:  # fmt: skip
    """Take in everything that a plan names.

    Args:
        database: The study's database.
        home: The workspace; crops and field copies are written below it.
        secret_key: The study's key for pseudonyms.
        plan: From `public.plan`.
        options: Crop size and scale.
        on_progress: Called with (files done, files in all).

    Raises:
        DatasetError: The given scale is not one that a microscope makes.
    """
    if options.mpp is not None and plausible_mpp(options.mpp) is None:
        raise DatasetError(
            f"scale {options.mpp} um/px: give a value from {SMALLEST_MPP} to {LARGEST_MPP}, or leave it out."
        )
    with Decoder() as decoder:
        return _Ingest(database, home, secret_key, plan, options, decoder).run(on_progress)


class _Ingest:
    """One run: the state that its steps share."""

    def __init__(self, database: Database, home: Path, secret_key: bytes, plan: Plan,
                 options: IngestOptions, decoder: Decoder) -> None:  # fmt: skip
        self._database, self._home, self._key = database, home, secret_key
        self._plan, self._options, self._decoder = plan, options, decoder
        self._mpp, self._mpp_source = (plan.mpp, plan.mpp_source) if options.mpp is None else (options.mpp, "given")
        self.report = IngestReport(refused=list(plan.refused), mpp=self._mpp, mpp_source=self._mpp_source)
        self._known_cells = set(catalog.cell_ids(database))
        self._known_slides = catalog.slide_ids(database)
        self._seen: dict[str, CellFile | FieldFile | ScanFiles | StackFiles] = {}
        self._slides: dict[str, Slide] = {}
        self._scans: list[Scan] = []
        self._cells: list[Cell] = []
        self._planes: list[CellPlane] = []
        self._crops: list[tuple[Path, bytes]] = []

    def run(self, on_progress: ProgressCallback) -> IngestReport:
        files: Sequence[CellFile | FieldFile | ScanFiles | StackFiles] = (*self._plan.cells, *self._plan.fields)
        if self._plan.layout == "slides":
            bundles = sort_files(self._plan.fields, self._decoder)
            self.report.refused += bundles.refused
            self.report.removed.update(kind for _, kind in bundles.dropped)
            if self._options.keep == "move":
                self.report.notes += [
                    (path, f"a {kind} and nothing else: left where it is") for path, kind in bundles.dropped
                ]
            files = (*bundles.scans, *bundles.pictures)
        files = (*files, *self._plan.stacks)
        for number, file in enumerate(files, start=1):
            path = file.paths[0] if isinstance(file, ScanFiles | StackFiles) else file.path
            try:
                self._take(file)
            except UnreadableFile as error:
                self.report.refused.append((path, error.reason))
            except OSError as error:
                if is_no_room(error):  # of the study's disk; the file can be read
                    raise
                self.report.refused.append((path, unreadable(error)))
            if len(self._cells) >= _FLUSH_CELLS:
                self._flush()
            on_progress(number, len(files))
        self._flush()
        return self.report

    def _take(self, file: CellFile | FieldFile | ScanFiles | StackFiles) -> None:
        if isinstance(file, ScanFiles):
            parts = sorted(sha256_of_each([part for path in file.paths for part in parts_of(path)]))
            sha256 = parts[0] if len(parts) == 1 else sha256_of_json(parts)
        elif isinstance(file, StackFiles):
            sha256 = sha256_of_json(sha256_of_each(file.paths))
        else:
            (sha256,) = sha256_of_each([file.path])
        if (earlier := self._seen.setdefault(sha256, file)) is not file:
            raise UnreadableFile(same_picture(earlier, file))
        if isinstance(file, CellFile):
            self._take_cell(file, sha256)
        elif isinstance(file, FieldFile):
            self._take_field(file, sha256)
        elif isinstance(file, StackFiles):
            self._take_stack(file, sha256)
        else:
            self._take_scan(file, sha256)

    def _take_cell(self, file: CellFile, sha256: str) -> None:
        cell_id = study_code(self._key, "CE", sha256)
        if cell_id not in self._known_cells:
            picture = self._decoder.read_picture(file.path)
            slide = self._slide("cells", study_code(self._key, "SL", file.group or sha256))
            self._slides.setdefault(slide.id, slide)
            height, width = picture.shape[:2]
            self._add_cell(cell_id, slide.id, picture, width / 2, height / 2, is_whole_picture=True)
        self.report.labels.append((cell_id, file.category))

    def _take_field(self, file: FieldFile, sha256: str) -> None:
        slide_id = study_code(self._key, "SL", sha256)
        ids = [cell_code(self._key, sha256, p.x, p.y) for p in file.points]
        is_known = slide_id in self._known_slides and self._known_cells.issuperset(ids)
        if not is_known:
            picture = self._decoder.read_picture(file.path)
            write_atomically(field_path(self._home, slide_id), encode_png(picture))
            slide = self._slide("field", slide_id, sha256)
            slide.height_px, slide.width_px = picture.shape[:2]
            self._slides[slide_id] = slide
            self.report.fields_without_scale += self._mpp is None
            self._tell_words(file.path, picture)
            for cell_id, point in zip(ids, file.points, strict=True):
                if self._is_inside(file.path, point, slide) and cell_id not in self._known_cells:
                    self._add_cell(cell_id, slide_id, picture, point.x, point.y)
            # One transaction per field: its cells and the field itself appear together.
            self._flush()
        elif not ids and self._options.mpp is not None:
            self.report.scaled += give_scale(self._database, slide_id, self._options.mpp)
        self._keep_labels(ids, file.points)

    def _take_scan(self, scan: ScanFiles, sha256: str) -> None:
        slide_id = study_code(self._key, "SL", sha256)
        points = scan.points.points
        ids = [cell_code(self._key, sha256, p.x, p.y) for p in points]
        self.report.scaled += overrule_scale(self._database, slide_id, self._options)
        if not (slide_id in self._known_slides and self._known_cells.issuperset(ids)):
            info = self._decoder.open_slide(scan.paths)
            info, mpp, source = with_scale(info, self._options, known=scale_of_slide(self._database, slide_id))
            slide = self._slide("slide", slide_id, sha256)
            slide.width_px, slide.height_px = info.size
            slide.mpp, slide.mpp_source = mpp, source
            if info.format == "dicom" or self._options.keep != "refer":
                self.report.removed.update(self._copy(scan, slide_id, info).difference(info.removed))
            self._slides[slide_id] = slide
            self._scans.append(Scan(slide_id=slide_id, info=info.to_json()))
            self.report.notes += [(scan.paths[0], note) for note in info.notes]
            self.report.removed.update(info.removed)
            picture = ScanPicture(self._decoder, scan.paths, info, mpp)
            new = {cell_id: (point.x, point.y) for cell_id, point in zip(ids, points, strict=True)
                   if self._is_inside(scan.points.path, point, slide) and cell_id not in self._known_cells}  # fmt: skip
            crops = picture.crops_at(list(new.values()), mpp=mpp, side_um=self._options.side_um,
                                     side_px=self._options.side_px)  # fmt: skip
            for (cell_id, (x, y)), found in zip(new.items(), crops, strict=True):
                if isinstance(found, UnreadableFile):
                    self.report.refused.append((scan.points.path, f"the point {x:.0f}, {y:.0f}: {found.reason}"))
                    continue
                if len(info.z_um) > 1:
                    self._planes.append(CellPlane(cell_id=cell_id, z_um=found[1]))
                self._store_cell(cell_id, slide_id, found[0], mpp, x=x, y=y)
            self._tell_words(scan.paths[0], picture.overview())
            self._flush()
        elif self._options.keep != "refer" and not copies_of(self._home, slide_id):
            self._copy(scan, slide_id, self._decoder.open_slide(scan.paths))
        # Last, when the slide is in: a slide that was refused leaves no trace of its name.
        if copies_of(self._home, slide_id):
            originals.forget(self._home, slide_id)
            if self._options.keep == "move":
                self._remove(scan, slide_id)
        else:
            originals.remember(self._home, slide_id, scan.paths)
            self.report.referred += 1
        self._keep_labels(ids, points)

    def _copy(self, scan: ScanFiles, slide_id: str, info: SlideInfo) -> set[str]:
        """Make the study's copy; returns what was left out of it."""
        copied: CopyReport
        if info.format == "dicom":
            copied = copy_dicom(self._decoder, scan.paths, self._home, slide_id, self._key)
        else:
            copied = copy_scan(self._decoder, scan.paths[0], self._home, slide_id, info)
        self.report.notes += [(scan.paths[0], note) for note in copied.notes]
        return set(copied.removed)

    def _remove(self, scan: ScanFiles, slide_id: str) -> None:
        """Remove a slide's files, of which the study has every pixel."""
        if not is_exact(self._home, slide_id):
            self.report.notes.append((scan.paths[0], "its copy is compressed anew: the original was left where it is"))
            return
        compare_copies(self._decoder, scan.paths, copies_of(self._home, slide_id))
        kept = remove_originals(scan.paths)
        self.report.notes += kept
        self.report.moved += len(scan.paths) - len(kept)

    def _tell_words(self, path: Path, picture: Picture) -> None:
        if burned_in_words(picture):
            self.report.notes.append((path, _WORDS))

    def _take_stack(self, stack: StackFiles, sha256: str) -> None:
        slide_id = study_code(self._key, "SL", sha256)
        ids = [cell_code(self._key, sha256, p.x, p.y) for p in stack.points]
        if slide_id in self._known_slides and self._known_cells.issuperset(ids):
            if not ids and self._options.mpp is not None:
                self.report.scaled += give_scale(self._database, slide_id, self._options.mpp)
            return
        planes = [self._decoder.read_picture(path) for path in stack.paths]
        height, width = planes[0].shape[:2]
        if any(plane.shape != planes[0].shape for plane in planes):
            raise UnreadableFile("the pictures of this folder differ in size: they are not planes of one field")
        best = sharpest(planes)
        write_many((plane_path(self._home, slide_id, n), encode_png(plane)) for n, plane in enumerate(planes))
        write_atomically(field_path(self._home, slide_id), encode_png(planes[best]))
        slide = self._slide("field", slide_id, sha256)
        slide.height_px, slide.width_px = height, width
        self._slides[slide_id] = slide
        self.report.fields_without_scale += self._mpp is None
        info = SlideInfo(
            format="planes", levels=(Level(width_px=width, height_px=height, downsample=1.0),), mpp=self._mpp,
            z_um=tuple(round((n - best) * stack.step_um, 3) for n in range(len(planes))),
        )  # fmt: skip
        self._scans.append(Scan(slide_id=slide_id, info=info.to_json()))
        for cell_id, point in zip(ids, stack.points, strict=True):
            if self._is_inside(stack.paths[0], point, slide):
                side = WINDOW_UM / (self._mpp or 0.25)
                plane = sharpest([window(picture, point.x, point.y, side) for picture in planes])
                self._planes.append(CellPlane(cell_id=cell_id, z_um=info.z_um[plane]))
                self._add_cell(cell_id, slide_id, planes[plane], point.x, point.y)
        self._flush()

    def _keep_labels(self, ids: Sequence[str], points: Sequence[Point]) -> None:
        known = self._known_cells
        self.report.labels += [(i, p.category) for i, p in zip(ids, points, strict=True) if p.category and i in known]

    def _is_inside(self, path: Path, point: Point, slide: Slide) -> bool:
        width, height = slide.width_px or 0, slide.height_px or 0
        if 0 <= point.x < width and 0 <= point.y < height:
            return True
        reason = f"the point {point.x:.0f}, {point.y:.0f} lies outside its {width} x {height} pixels"
        self.report.refused.append((path, reason))
        return False

    def _slide(self, kind: str, slide_id: str, sha256: str | None = None) -> Slide:
        return Slide(id=slide_id, kind=kind, sha256=sha256, width_px=None, height_px=None,
                     mpp=self._mpp, mpp_source=self._mpp_source, added_at=utc_now())  # fmt: skip

    def _add_cell(self, cell_id: str, slide_id: str, picture: Picture, x: float, y: float, *,
                  is_whole_picture: bool = False) -> None:  # fmt: skip
        options = self._options
        crop = cut_crop(picture, x, y, mpp=self._mpp, side_um=options.side_um, side_px=options.side_px)
        if is_whole_picture:
            height, width = picture.shape[:2]
            self._store_cell(cell_id, slide_id, crop, self._mpp, source_width_px=width, source_height_px=height)
        else:
            self._store_cell(cell_id, slide_id, crop, self._mpp, x=x, y=y)

    def _store_cell(self, cell_id: str, slide_id: str, crop: Picture, mpp: float | None, **place: float | None) -> None:
        self._crops.append((crop_path(self._home, cell_id), encode_png(crop)))
        options = self._options
        columns = dict.fromkeys(("x", "y", "source_width_px", "source_height_px"), None) | place
        self._cells.append(Cell(
            id=cell_id, slide_id=slide_id, crop_mpp=None if mpp is None else options.side_um / options.side_px,
            origin="imported", added_at=utc_now(), **columns,
        ))  # fmt: skip
        self._known_cells.add(cell_id)

    def _flush(self) -> None:
        write_many(self._crops)
        self._crops = []
        slides, cells = catalog.add(self._database, list(self._slides.values()), self._cells, self._scans, self._planes)
        self.report.slides += slides
        self.report.cells += cells
        self._known_slides.update(self._slides)
        self._slides, self._cells, self._scans, self._planes = {}, [], [], []
