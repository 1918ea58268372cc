"""The catalogue's pictures as one hashed pack of tiles: all that pretraining gets to see.

    <home>/tiles/<plan>/tiles.npy      or shards, as `datasets.tile_files` has it
    <home>/tiles/<plan>/manifest.json  hash, scale, and where each tile comes from (with shards their index says it)

A field or scan gives a grid of tiles that are not empty glass, and a tile around each of its cells;
a single-cell picture gives one. The folder is named by the plan (which slides, which scale), so that
an unchanged catalogue finds its pack ready. Knows no encoder.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.crops import Picture, cut_crop, read_own_png, resize_square
from datasets.db import Database
from datasets.detection import has_foreground
from datasets.errors import StoreError, UnreadableFile
from datasets.files import sha256_of_json, sync_folder, write_json
from datasets.geometry import um_to_px
from datasets.pictures import open_picture
from datasets.sandbox import Decoder
from datasets.tile_files import ArrayWriter, ShardWriter

FALLBACK_MPP = 0.25
"""Taken for a field without a known scale: a 40x objective. The command says so aloud."""
ARRAY_UP_TO_BYTES = 20e9
"""About 400,000 tiles of 128 px. An array is read without decoding, but not when it exceeds the memory."""
_BLOCK_TILES = 12
"""Tiles on the side of what is read from a scan at once."""

TileWriter = ArrayWriter | ShardWriter


@dataclass(frozen=True, kw_only=True, slots=True)
class TileOptions:
    """Size and scale of the tiles."""

    mpp: float = 0.5
    """Micrometres per pixel."""
    side_px: int = 128
    """Side in pixels; larger than what the encoder sees, so that crops can shift."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """Where one tile comes from; x, y is its centre in level-0 pixels, None for a cell's crop."""

    slide: str
    cell: str | None = None
    x: float | None = None
    y: float | None = None


def build_tile_pack(
    database: Database, home: Path, options: TileOptions,
    on_progress: Callable[[int, int], None] = lambda done, total: None, array_up_to: float = ARRAY_UP_TO_BYTES,
) -> Path:  # fmt: skip
    """Write the pack of all tiles of the catalogue, or find it ready.

    Args:
        database: The study's database.
        home: The workspace.
        options: Size and scale.
        on_progress: Called with (slides done, slides in all).
        array_up_to: Bytes; what may need more is kept as JPEG in shards, not as an array.

    Returns:
        The pack's folder.

    Raises:
        StoreError: The catalogue has no picture.
    """
    slides, cells = catalog.slides_with_pictures(database), catalog.cells(database)
    plan = {
        "options": asdict(options),
        "fields": [slide.id for slide in slides],
        "cells": [cell.id for cell in cells],
    }
    folder = home / "tiles" / sha256_of_json(plan)[:16]
    if (folder / "manifest.json").exists():
        return folder
    by_slide: dict[str, list[Cell]] = {}
    for cell in cells:
        by_slide.setdefault(cell.slide_id, []).append(cell)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        with Decoder() as decoder:
            source = _Source(database, home, decoder, options)
            is_array = _most_bytes(slides, len(cells), options) <= array_up_to
            writer = ArrayWriter(draft, options.side_px) if is_array else ShardWriter(draft)
            _write_pack(draft, source.tiles(slides, by_slide, on_progress), source, writer)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(folder.parent)
    return folder


class _Source:
    """Where tiles come from: fields in memory, scans behind the sandbox, crops of single cells."""

    def __init__(self, database: Database, home: Path, decoder: Decoder, options: TileOptions) -> None:
        self._database, self._home, self._decoder, self.options = database, home, decoder, options
        self.unreadable = 0
        """Parts of scans that could not be read and are left out."""

    def tiles(
        self, slides: list[Slide], by_slide: dict[str, list[Cell]], on_progress: Callable[[int, int], None]
    ) -> Iterator[tuple[Tile, Picture]]:
        """Yield every tile of the catalogue, in an order that only the catalogue decides."""
        groups = sorted(set(by_slide) - {slide.id for slide in slides})
        total = len(slides) + len(groups)
        for done, slide in enumerate(slides, start=1):
            of_kind = _tiles_of_field if slide.kind == "field" else self._tiles_of_scan
            yield from of_kind(self._home, slide, by_slide.get(slide.id, []), self.options)
            on_progress(done, total)
        for done, slide_id in enumerate(groups, start=len(slides) + 1):
            yield from self._tiles_of_crops(by_slide[slide_id])
            on_progress(done, total)

    def _tiles_of_crops(self, cells: list[Cell]) -> Iterator[tuple[Tile, Picture]]:
        for cell in cells:
            crop = read_own_png(catalog.crop_path(self._home, cell.id))
            yield Tile(slide=cell.slide_id, cell=cell.id), _scale_crop(crop, cell.crop_mpp, self.options)

    def _tiles_of_scan(
        self, home: Path, slide: Slide, cells: list[Cell], options: TileOptions
    ) -> Iterator[tuple[Tile, Picture]]:
        """Yield a scan's tiles; a block of many is read at once, because small reads cost the most."""
        try:
            picture = open_picture(self._database, home, slide, self._decoder)
        except UnreadableFile:
            # Its files are gone: the crops of its cells are still ours.
            self.unreadable += 1
            yield from self._tiles_of_crops(cells)
            return
        mpp = slide.mpp or FALLBACK_MPP
        side_um = options.side_px * options.mpp
        side = um_to_px(side_um, mpp)
        blocks: dict[tuple[int, int], list[tuple[float, float]]] = {}
        for x, y in _grid(picture.width_px, picture.height_px, side):
            blocks.setdefault((int(x / side) // _BLOCK_TILES, int(y / side) // _BLOCK_TILES), []).append((x, y))
        for places in blocks.values():
            left, top = (int(min(place[axis] for place in places) - side / 2) for axis in (0, 1))
            right, bottom = (int(max(place[axis] for place in places) + side / 2) + 2 for axis in (0, 1))
            try:
                block, down = picture.read(left, top, right - left, bottom - top, mpp=options.mpp)
            except UnreadableFile:
                self.unreadable += 1
                continue
            for x, y in places:
                tile = cut_crop(block, (x - left) / down, (y - top) / down, mpp=mpp * down, side_um=side_um,
                                side_px=options.side_px)  # fmt: skip
                if has_foreground(tile, options.mpp):
                    yield Tile(slide=slide.id, x=x, y=y), tile
        yield from self._tiles_of_crops(cells)


def _scale_crop(crop: Picture, crop_mpp: float | None, options: TileOptions) -> Picture:
    mpp = crop_mpp or FALLBACK_MPP
    side_um = options.side_px * options.mpp
    middle = crop.shape[0] / 2
    if abs(crop.shape[0] * mpp - side_um) < mpp:
        return resize_square(crop, options.side_px)
    return cut_crop(crop, middle, middle, mpp=mpp, side_um=side_um, side_px=options.side_px)


def _tiles_of_field(
    home: Path, slide: Slide, cells: list[Cell], options: TileOptions
) -> Iterator[tuple[Tile, Picture]]:
    picture = read_own_png(catalog.field_path(home, slide.id))
    mpp = slide.mpp or FALLBACK_MPP
    side_um = options.side_px * options.mpp
    for x, y in _grid(picture.shape[1], picture.shape[0], um_to_px(side_um, mpp)):
        tile = cut_crop(picture, x, y, mpp=mpp, side_um=side_um, side_px=options.side_px)
        if has_foreground(tile, options.mpp):
            yield Tile(slide=slide.id, x=x, y=y), tile
    for cell in cells:
        if cell.x is not None and cell.y is not None:
            tile = cut_crop(picture, cell.x, cell.y, mpp=mpp, side_um=side_um, side_px=options.side_px)
            yield Tile(slide=slide.id, cell=cell.id, x=cell.x, y=cell.y), tile


def _grid(width: int, height: int, side: float) -> Iterator[tuple[float, float]]:
    """Yield centres of squares that cover a picture, inside it where it is large enough."""
    columns, rows = max(1, int(width // side)), max(1, int(height // side))
    left, top = (width - columns * side) / 2, (height - rows * side) / 2
    for row in range(rows):
        for column in range(columns):
            yield left + (column + 0.5) * side, top + (row + 0.5) * side


def _write_pack(folder: Path, tiles: Iterator[tuple[Tile, Picture]], source: _Source, writer: TileWriter) -> None:
    for tile, picture in tiles:
        writer.add(picture, {key: value for key, value in asdict(tile).items() if value is not None})
    facts = writer.close()
    if not facts["tiles"]:
        raise StoreError("no tile: the catalogue has no picture that is not empty. Ingest something first.")
    options = source.options
    facts |= {"mpp": options.mpp, "side_px": options.side_px, "unreadable": source.unreadable}
    write_json(folder / "manifest.json", {**facts, "hash": sha256_of_json(facts)})


def _most_bytes(slides: list[Slide], cells: int, options: TileOptions) -> float:
    """Return what all tiles take as bytes if no place is empty."""
    side_um = options.side_px * options.mpp
    areas = ((slide.width_px or 0) * (slide.height_px or 0) * (slide.mpp or FALLBACK_MPP) ** 2 for slide in slides)
    return (sum(areas) / side_um**2 + cells) * options.side_px**2 * 3
