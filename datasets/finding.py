"""Cells of slides that nobody has marked: tile by tile, found nuclei become cells with crops.

A tile's cells and the slide's progress are committed together, so a killed search goes on where it
stopped and a second one changes nothing. Knows no label.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets import catalog, originals
from datasets.catalog import Cell, CellPlane, Nucleus, Search, Slide, crop_path
from datasets.crops import OUTSIDE, Picture, cut_crop, encode_png
from datasets.db import Database, utc_now
from datasets.detection import GRID_UM, has_foreground, is_bright_field, looks_like_noise, uncovered
from datasets.errors import DatasetError, UnreadableFile
from datasets.files import write_many
from datasets.focus import WINDOW_UM, sharpest, window
from datasets.identity import cell_code
from datasets.notices import DARK_TILES, NOISY_TILES
from datasets.nuclei import VERSION, Nuclei, find_nuclei, lie_near, most_nuclei, white_point
from datasets.pictures import SlidePicture, open_picture
from datasets.places import scale_of_slide, slides_with_points
from datasets.sandbox import Decoder
from datasets.search_report import FindOptions, FindReport
from datasets.search_tiles import Tile, count_tiles, tiles_of
from datasets.told import told

_MARGIN_UM = 24.0
"""Seen around a tile, so that a nucleus on its edge looks as it does elsewhere."""
_SAME_UM = 4.5
"""A found nucleus this near to a known cell is that cell."""
_MOST_BAD_TILES = 0.01
_OVERVIEW_TILE_PX = 16
"""A tile of the overview smaller than this tells nothing about what is in it."""

OnProgress = Callable[[int, int], None]


def find_cells(
    database: Database, home: Path, secret_key: bytes, options: FindOptions, *,
    slide_ids: Sequence[str] | None = None, on_progress: OnProgress = lambda done, total: None,
) -> FindReport:  # fmt: skip
    """Find the nuclei of slides and fields and take them into the catalogue as cells.

    Args:
        database: The study's database.
        home: The workspace; crops are written below it.
        secret_key: The study's key for cell codes.
        options: Size of crops, most cells.
        slide_ids: Search these, even where cells came with the file; None: all without such cells.
        on_progress: Called with (tiles done, tiles in all).

    Raises:
        DatasetError: A named slide is not in the catalogue.
    """
    open_ones = slides_to_search(database, slide_ids)
    searches, report, started = catalog.searches(database), FindReport(), time.monotonic()
    total = sum(map(count_tiles, open_ones))
    done = 0
    with Decoder() as decoder:
        for slide in open_ones:
            count = count_tiles(slide)
            try:
                now = catalog.slide(database, slide.id) or slide  # hours after the list: its scale may be another
                search = _SlideSearch(database, home, secret_key, options, now, searches.get(slide.id), decoder)
                for finished in search.run(report):
                    on_progress(done + finished, total)
                report.slides += 1
            except UnreadableFile as error:
                report.refused.append((slide.id, error.reason))
            done += count
            on_progress(done, total)
    report.seconds = time.monotonic() - started
    return report


def slides_to_search(database: Database, slide_ids: Sequence[str] | None = None) -> list[Slide]:
    """Return the slides and fields whose search has not come to its end.

    Args:
        database: The study's database.
        slide_ids: Of these, even where cells came with the file; None: of all without such cells.

    Raises:
        DatasetError: A named slide is not in the catalogue.
    """
    searches = catalog.searches(database)
    return [slide for slide in _wanted(database, slide_ids) if not _is_done(searches.get(slide.id))]


def _wanted(database: Database, slide_ids: Sequence[str] | None) -> list[Slide]:
    slides = catalog.slides_with_pictures(database)
    if slide_ids is None:
        marked = slides_with_points(database)
        return [slide for slide in slides if slide.id not in marked]
    known = {slide.id: slide for slide in slides}
    for slide_id in slide_ids:
        if slide_id not in known:
            raise DatasetError(f"slide {slide_id}: there is no field or scan of that code in this workspace.")
    return [known[slide_id] for slide_id in slide_ids]


def _is_done(search: Search | None) -> bool:
    return search is not None and search.tiles_done >= search.tiles


def _sharpest_at(stack: Sequence[Picture], x: float, y: float, side_px: float) -> int:
    return sharpest([window(plane, x, y, side_px) for plane in stack]) if len(stack) > 1 else 0


class _SlideSearch:
    """The search of one slide: what its tiles share."""

    def __init__(self, database: Database, home: Path, secret_key: bytes, options: FindOptions, slide: Slide,
                 before: Search | None, decoder: Decoder) -> None:  # fmt: skip
        if slide.mpp is None or slide.sha256 is None:
            raise UnreadableFile("its scale is unknown: nuclei have no size there; ingest it again with --mpp")
        self._database, self._home, self._key, self._options = database, home, secret_key, options
        self._slide, self._mpp, self._sha256 = slide, slide.mpp, slide.sha256
        self._picture: SlidePicture = open_picture(database, home, slide, decoder)
        self._tiles = tiles_of(self._picture.width_px, self._picture.height_px, slide.mpp)
        self._overview = self._picture.overview()
        self._white = white_point(self._overview)
        is_bright = is_bright_field(self._overview)
        if self._is_whole() and not is_bright:
            raise UnreadableFile("its ground is dark, and nuclei are found as dark spots on a light one: leave it out, "
                                 "or mark its cells by hand")  # fmt: skip
        self._has_grid = options.has_grid and is_bright
        known = [(c.x, c.y) for c in catalog.cells_of_slide(database, slide.id) if c.x is not None and c.y is not None]
        self._known = np.asarray(known, np.float64).reshape(-1, 2)
        if before and before.tiles != len(self._tiles):
            before = None  # cut otherwise then; what is known is not found twice
        self._done = before.tiles_done if before else 0
        self._bad = before.unreadable_tiles if before else 0
        self._cells = before.cells if before else 0
        info = catalog.scan_info(database, slide.id) if before else None
        self._odd = Counter[str]((info or {}).get(catalog.ODD_TILES, {}))

    def run(self, report: FindReport) -> Iterator[int]:
        # Yields how many tiles are done, and raises when too many cannot be read.
        try:
            yield from self._tiles_left(report)
        finally:
            whys = self._odd.items()
            report.odd += [(self._slide.id, told(why, n=n, tiles=len(self._tiles))) for why, n in whys]

    def _tiles_left(self, report: FindReport) -> Iterator[int]:
        for index in range(self._done, len(self._tiles)):
            tile = self._tiles[index]
            cells: list[Cell] = []
            nuclei: list[Nucleus] = []
            planes: list[CellPlane] = []
            try:
                if self._may_hold_cells(tile):
                    cells, nuclei, planes = self._search(tile, report)
            except UnreadableFile as error:
                if self._slide.kind == "slide":  # a share that went away is no damaged tile: raises
                    originals.files_of(self._home, self._slide.id)
                self._bad += 1
                if self._bad > max(1, _MOST_BAD_TILES * len(self._tiles)):
                    raise UnreadableFile(f"{self._bad} of its tiles cannot be read ({error.reason})") from error
            if (scale_of_slide(self._database, self._slide.id) or (None,))[0] != self._mpp:
                raise UnreadableFile("its scale was changed while it was searched; search it again")
            self._done = index + 1
            self._cells += len(cells)
            row = Search(
                slide_id=self._slide.id, version=VERSION, tiles_done=self._done, tiles=len(self._tiles),
                unreadable_tiles=self._bad, cells=self._cells, updated_at=utc_now(),
            )  # fmt: skip
            report.cells += catalog.add_found(self._database, row, cells, nuclei, planes, odd=self._odd)
            report.grid += len(cells) - len(nuclei)
            report.area_mm2 += tile.width * tile.height * self._mpp**2 / 1e6
            yield self._done

    def _is_whole(self) -> bool:
        """Return whether the overview shows all of the slide; of one without a small level it is a part."""
        height, width = self._overview.shape[:2]
        return abs(self._picture.height_px * width / self._picture.width_px - height) <= 1.5

    def _may_hold_cells(self, tile: Tile) -> bool:
        """Judge a tile by the overview, so that empty glass is not decoded."""
        scale = self._picture.width_px / self._overview.shape[1]
        if len(self._tiles) == 1 or not self._is_whole() or tile.width / scale < _OVERVIEW_TILE_PX:
            return True
        left, top = int(tile.x / scale), int(tile.y / scale)
        part = self._overview[top : top + max(1, round(tile.height / scale)),
                              left : left + max(1, round(tile.width / scale))]  # fmt: skip
        return has_foreground(part, self._mpp * scale)

    def _search(self, tile: Tile, report: FindReport) -> tuple[list[Cell], list[Nucleus], list[CellPlane]]:
        crop_mpp = self._options.side_um / self._options.side_px
        margin = round(max(_MARGIN_UM, self._options.side_um / 2) / self._mpp) + 4
        # Only what the slide has: paint around it would look like the edge of something.
        left, top = max(tile.x - margin, 0), max(tile.y - margin, 0)
        right = min(tile.x + tile.width + margin, self._picture.width_px)
        bottom = min(tile.y + tile.height + margin, self._picture.height_px)
        z_um = self._picture.planes_um
        reads = [self._picture.read(left, top, right - left, bottom - top, mpp=crop_mpp, z_um=z) for z in z_um]
        stack, down = [pixels for pixels, _ in reads], reads[0][1]
        pixels = stack[sharpest(stack)] if len(stack) > 1 else stack[0]
        if (pixels == OUTSIDE).all():
            return [], [], []
        if not is_bright_field(pixels):
            self._odd[DARK_TILES] += 1
            return [], [], []
        found = find_nuclei(pixels, self._mpp * down, white=self._white)
        if looks_like_noise(pixels, self._mpp * down, len(found)):
            self._odd[NOISY_TILES] += 1
            return [], [], []
        report.crowded += len(found) == most_nuclei(pixels, self._mpp * down)
        places = found.centers_px * down + (left, top)
        rows = self._chosen(tile, places, found)
        nuclei_at = places[rows]
        grid_at = self._grid(tile, pixels, (left, top), down, places, len(nuclei_at))
        cells, planes, crops = [], [], []
        for number, (x, y) in enumerate(np.vstack([nuclei_at, grid_at]).tolist()):
            cell_id = cell_code(self._key, self._sha256, x, y)
            at = (x - left) / down, (y - top) / down
            best = _sharpest_at(stack, *at, WINDOW_UM / (self._mpp * down))
            if len(stack) > 1:
                planes.append(CellPlane(cell_id=cell_id, z_um=z_um[best]))
            crop = cut_crop(stack[best], *at, mpp=self._mpp * down,
                            side_um=self._options.side_um, side_px=self._options.side_px)  # fmt: skip
            crops.append((crop_path(self._home, cell_id), encode_png(crop)))
            cells.append(Cell(id=cell_id, slide_id=self._slide.id, x=x, y=y, crop_mpp=crop_mpp, source_width_px=None,
                              source_height_px=None, origin="detected" if number < len(nuclei_at) else "grid",
                              added_at=utc_now()))  # fmt: skip
        write_many(crops)
        self._known = np.vstack([self._known, nuclei_at, grid_at])
        return cells, self._nuclei(cells, found.keep(rows), left, top), planes

    def _nuclei(self, cells: Sequence[Cell], found: Nuclei, left: int, top: int) -> list[Nucleus]:
        """Return the boxes of the first cells, which are the found nuclei in their order."""
        boxes = (found.boxes_um + np.array([left, top, 0, 0]) * self._mpp).tolist()
        told = zip(cells[: len(found)], boxes, found.confidence.tolist(), found.overlap.tolist(), strict=True)
        return [
            Nucleus(cell_id=cell.id, left_um=box[0], top_um=box[1], width_um=box[2], height_um=box[3],
                    confidence=confidence, overlap=overlap)
            for cell, box, confidence, overlap in told
        ]  # fmt: skip

    def _grid(self, tile: Tile, pixels: Picture, corner: tuple[int, int], down: float,
              places: NDArray[np.float64], taken: int) -> NDArray[np.float64]:  # fmt: skip
        """Return stained places of this tile, in level-0 pixels, that hold neither a nucleus nor a known cell."""
        if not self._has_grid:
            return np.empty((0, 2))
        start = np.array([tile.x, tile.y])
        x, y = np.round((start - corner) / down).astype(int)
        inside = pixels[y : y + round(tile.height / down), x : x + round(tile.width / down)]
        centers = (np.vstack([places, self._near(tile, GRID_UM)]) - start) / down
        found = uncovered(inside, self._mpp * down, centers) * down + start
        return found if self._options.most_per_mm2 is None else found[: max(0, self._most(tile) - taken)]

    def _near(self, tile: Tile, reach_um: float) -> NDArray[np.float64]:
        """Return the known cells in and around a tile: a slide can have hundreds of thousands."""
        low = np.array([tile.x, tile.y]) - reach_um / self._mpp
        high = low + (tile.width, tile.height) + 2 * reach_um / self._mpp
        return self._known[((self._known >= low) & (self._known <= high)).all(axis=1)]

    def _most(self, tile: Tile) -> int:
        most = self._options.most_per_mm2 or 0.0
        return max(1, round(most * tile.width * tile.height * self._mpp**2 / 1e6))

    def _chosen(self, tile: Tile, places: NDArray[np.float64], found: Nuclei) -> NDArray[np.bool_]:
        """Choose the nuclei of this tile that are not known yet, the surest where there is a limit."""
        corner, size = np.array([tile.x, tile.y]), np.array([tile.width, tile.height])
        rows = ((places >= corner) & (places < corner + size)).all(axis=1)
        rows &= ~lie_near(places, self._near(tile, _SAME_UM), _SAME_UM / self._mpp)
        if self._options.most_per_mm2 is not None:
            # In order of confidence already: the first ones are the surest.
            rows &= np.cumsum(rows) <= self._most(tile)
        return np.asarray(rows, np.bool_)
