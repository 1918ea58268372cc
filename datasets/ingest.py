"""Files into the catalogue: decode at arm's length, cut crops, give codes. Twice changes nothing.

Ids are keyed hashes of the files' bytes (and of a point's place), so a second run finds everything
known, and a killed run goes on where it stopped. File names stay on the operator's terminal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets import catalog
from datasets.catalog import Cell, Slide, crop_path, field_path
from datasets.crops import Picture, cut_crop, encode_png
from datasets.db import Database, utc_now
from datasets.errors import DatasetError, UnreadableFile
from datasets.files import sha256_of_file, write_atomically
from datasets.geometry import LARGEST_MPP, SMALLEST_MPP, plausible_mpp
from datasets.identity import study_code
from datasets.public import CellFile, FieldFile, Plan, Point
from datasets.sandbox import Decoder

_FLUSH_CELLS = 64

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestOptions:
    """How crops are cut."""

    side_um: float
    """Side of a crop in micrometres."""
    side_px: int
    """Side of a crop in pixels."""
    mpp: float | None = None
    """Scale of all given files in um/px; None: what the known set publishes, else unknown."""


@dataclass(slots=True)
class IngestReport:
    """What an ingest did and what it could not."""

    slides: int = 0
    """New slides (fields, or groups of single-cell pictures)."""
    cells: int = 0
    """New cells."""
    labels: list[tuple[str, str]] = field(default_factory=list)
    """(cell id, category) that came with the files, new or known; the caller stores them."""
    refused: list[tuple[Path, str]] = field(default_factory=list)
    """Files that could not be taken in, with the reason."""
    mpp: float | None = None
    mpp_source: str = "unknown"


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
        is_given = options.mpp is not None
        self._mpp = options.mpp if is_given else plan.mpp
        self._mpp_source = "given" if is_given else plan.mpp_source
        self.report = IngestReport(refused=list(plan.refused), mpp=self._mpp, mpp_source=self._mpp_source)
        self._known_cells = set(catalog.cell_ids(database))
        self._known_slides = catalog.slide_ids(database)
        self._seen: set[str] = set()
        self._slides: dict[str, Slide] = {}
        self._cells: list[Cell] = []

    def run(self, on_progress: ProgressCallback) -> IngestReport:
        files: Sequence[CellFile | FieldFile] = (*self._plan.cells, *self._plan.fields)
        for number, file in enumerate(files, start=1):
            try:
                self._take(file)
            except UnreadableFile as error:
                self.report.refused.append((file.path, error.reason))
            except OSError as error:
                self.report.refused.append((file.path, error.strerror or "cannot be read"))
            if len(self._cells) >= _FLUSH_CELLS:
                self._flush()
            on_progress(number, len(files))
        self._flush()
        return self.report

    def _take(self, file: CellFile | FieldFile) -> None:
        sha256 = sha256_of_file(file.path)
        if sha256 in self._seen:
            raise UnreadableFile("the same picture as an earlier file of this import")
        self._seen.add(sha256)
        if isinstance(file, CellFile):
            self._take_cell(file, sha256)
        else:
            self._take_field(file, sha256)

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
        # The tenth of a pixel tells points apart and survives a rewritten table.
        ids = [study_code(self._key, "CE", f"{sha256}:{p.x:.1f}:{p.y:.1f}") for p in file.points]
        is_known = slide_id in self._known_slides and self._known_cells.issuperset(ids)
        if not is_known:
            picture = self._decoder.read_picture(file.path)
            write_atomically(field_path(self._home, slide_id), encode_png(picture))
            slide = self._slide("field", slide_id, sha256)
            slide.height_px, slide.width_px = picture.shape[:2]
            self._slides[slide_id] = slide
            for cell_id, point in zip(ids, file.points, strict=True):
                self._take_point(file, cell_id, slide_id, picture, point)
            # One transaction per field: its cells and the field itself appear together.
            self._flush()
        known = self._known_cells
        self.report.labels += [
            (i, p.category) for i, p in zip(ids, file.points, strict=True) if p.category and i in known
        ]

    def _take_point(self, file: FieldFile, cell_id: str, slide_id: str, picture: Picture, point: Point) -> None:
        height, width = picture.shape[:2]
        if not (0 <= point.x < width and 0 <= point.y < height):
            reason = f"the point {point.x:.0f}, {point.y:.0f} lies outside its {width} x {height} pixels"
            self.report.refused.append((file.path, reason))
        elif cell_id not in self._known_cells:
            self._add_cell(cell_id, slide_id, picture, point.x, point.y)

    def _slide(self, kind: str, slide_id: str, sha256: str | None = None) -> Slide:
        return Slide(id=slide_id, kind=kind, sha256=sha256, width_px=None, height_px=None,
                     mpp=self._mpp, mpp_source=self._mpp_source, added_at=utc_now())  # fmt: skip

    def _add_cell(self, cell_id: str, slide_id: str, picture: Picture, x: float, y: float, *,
                  is_whole_picture: bool = False) -> None:  # fmt: skip
        options = self._options
        crop = cut_crop(picture, x, y, mpp=self._mpp, side_um=options.side_um, side_px=options.side_px)
        write_atomically(crop_path(self._home, cell_id), encode_png(crop))
        height, width = picture.shape[:2]
        self._cells.append(Cell(
            id=cell_id, slide_id=slide_id,
            x=None if is_whole_picture else x, y=None if is_whole_picture else y,
            crop_mpp=None if self._mpp is None else options.side_um / options.side_px,
            source_width_px=width if is_whole_picture else None,
            source_height_px=height if is_whole_picture else None,
            origin="imported", added_at=utc_now(),
        ))  # fmt: skip
        self._known_cells.add(cell_id)

    def _flush(self) -> None:
        slides, cells = catalog.add(self._database, list(self._slides.values()), self._cells)
        self.report.slides += slides
        self.report.cells += cells
        self._known_slides.update(self._slides)
        self._slides, self._cells = {}, []
