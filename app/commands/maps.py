"""`map`: the neighbourhoods of all cells in two dimensions, and whether vectors know the cell or the slide."""

import time
from pathlib import Path

import click

from app.cell_map import draw_neighbourhoods, update_map
from app.commands.long import long_verb
from app.commands.output import emit, home_option, json_option
from app.services import Services
from app.slide_gap import measure_gap, write_gap
from datasets.errors import DatasetError


@click.command("map")
@home_option
@json_option
@long_verb("map", is_alone=True)
def map_(home: Path, as_json: bool) -> None:
    """Draw the map of all cells by UMAP, and measure how far vectors know the slide instead of the cell."""
    services = Services.open_existing(home)
    store = services.store()
    if store is None or len(store) < 3:
        raise DatasetError("there are no vectors of three cells yet: cytojepa embed makes them.")
    started = time.monotonic()
    update_map(home, store)
    draw_neighbourhoods(home, store)
    gap = measure_gap(services, store)
    write_gap(home, store.fingerprint, gap)
    seconds = time.monotonic() - started
    unknown = "too few labels" if gap.unknown_slides is None else f"{gap.unknown_slides:.3f}"
    known = "too few labels" if gap.known_slides is None else f"{gap.known_slides:.3f}"
    lines = [
        f"{len(store)} cells in {seconds:.1f} s",
        f"nearest neighbours of the own slide: {gap.own_slide:.3f}, by chance {gap.by_chance:.3f}",
        f"balanced accuracy on unknown slides {unknown}, on other cells of known slides {known}",
    ]
    facts = {"cells": len(store), "fingerprint": store.fingerprint, "seconds": round(seconds, 2),
             "own_slide": gap.own_slide, "by_chance": gap.by_chance, "labels": gap.labels,
             "unknown_slides": gap.unknown_slides, "known_slides": gap.known_slides}  # fmt: skip
    emit(as_json, facts, lines, sentence=lines[0])
