"""Small studies for tests, made of drawn slides by the product's own steps."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from app.agreement_figures import FIGURES_FILE
from app.intake import take_in
from app.refit import refit_study
from app.services import Services
from app.slide_quality import QUALITY_FILE, survey
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides
from datasets.embeddings import EmbeddingStore, set_current
from datasets.files import write_json
from datasets.public import FieldFile, Plan, Point, plan
from labeling.labels import LabelEvent, record


def drawn_study(home: Path, scratch: Path, num_slides: int) -> Services:
    """Draw slides into a folder and ingest them."""
    services = Services.open(home)
    write_drawn_slides(scratch, seed=7, num_slides=num_slides)
    take_in(services, plan(scratch), mpp=DRAWN_MPP)
    return services


VECTOR_CELLS = 400
VECTOR_CLASSES = ("NILM", "LSIL", "HSIL")


def vector_truth(cell: int) -> str:
    """Return the class of a cell of `vector_study`: six of ten are NILM."""
    return VECTOR_CLASSES[0 if cell % 10 < 6 else 1 + cell % 2]


def vector_study(services: Services) -> Services:
    """Give a workspace 400 cells CE00000... on 20 slides, without pictures, with vectors that tell their class."""
    now = utc_now()
    slides = [Slide(id=f"SL{n}", kind="cells", mpp=0.25, mpp_source="given", added_at=now) for n in range(20)]
    cells = [
        Cell(id=f"CE{n:05d}", slide_id=f"SL{n // 20}", origin="imported", added_at=now) for n in range(VECTOR_CELLS)
    ]
    catalog.add(services.database, slides, cells)
    store = EmbeddingStore(services.embeddings_folder, "f1")
    classes = [VECTOR_CLASSES.index(vector_truth(n)) for n in range(VECTOR_CELLS)]
    vectors = np.random.default_rng(0).normal(size=(VECTOR_CELLS, 16)) + 2.5 * np.eye(16)[classes]
    store.append([cell.id for cell in cells], vectors)
    set_current(services.embeddings_folder, "f1")
    return services


def label_vector_study(services: Services) -> list[str]:
    """Let ada answer every third cell of `vector_study` rightly; return those cells."""
    labelled = [f"CE{n:05d}" for n in range(0, VECTOR_CELLS, 3)]
    events = [LabelEvent(key=f"k{cell}", cell_id=cell, category=vector_truth(int(cell[2:]))) for cell in labelled]
    assert all(r.accepted for r in record(services.database, "ada", events, label_set=services.label_set))
    return labelled


def noise_pack(folder: Path, *, tiles: int, side_px: int, mpp: float = 0.5, seed: int = 0) -> Path:
    """Write a tile pack of smooth coloured noise: enough for an engine, quicker than drawn slides."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(60, 240, (tiles, 8, 8, 3)).astype(np.uint8)
    pictures = np.stack([cv2.resize(tile, (side_px, side_px), interpolation=cv2.INTER_CUBIC) for tile in coarse])
    folder.mkdir(parents=True)
    np.save(folder / "tiles.npy", pictures)
    write_json(folder / "manifest.json", {"mpp": mpp, "side_px": side_px, "tiles": tiles, "hash": f"noise-{seed}"})
    return folder


def study_of_vectors(
    home: Path, *, slides: int = 8, cells_per_slide: int = 20, doctors: tuple[str, ...] = ("ada", "ben"), seed: int = 3
) -> Services:
    """Make a study of three classes without pictures: vectors that tell the classes apart, and doctors who differ."""
    services = Services.open(home)
    generator = np.random.default_rng(seed)
    names, now = ("NILM", "LSIL", "HSIL"), utc_now()
    rows = [
        Slide(id=f"SL-{n:013d}", kind="field", sha256=f"{n:064d}", width_px=1000, height_px=800, mpp=0.25,
              mpp_source="given", added_at=now)
        for n in range(slides)
    ]  # fmt: skip
    cells = [
        Cell(id=f"CE-{n:013d}", slide_id=rows[n % slides].id, x=float(10 + n), y=float(10 + n % 700), crop_mpp=0.25,
             source_width_px=None, source_height_px=None, origin="imported", added_at=now)
        for n in range(slides * cells_per_slide)
    ]  # fmt: skip
    catalog.add(services.database, rows, cells)
    truth = generator.integers(3, size=len(cells))
    vectors = np.eye(3)[truth] * 2.5 + generator.normal(size=(len(cells), 3))
    EmbeddingStore(services.embeddings_folder, "drawn").append([cell.id for cell in cells], vectors)
    set_current(services.embeddings_folder, "drawn")
    for who in doctors:
        events = [
            LabelEvent(key=f"{who}-{n}", cell_id=cell.id, category=names[(truth[n] + (generator.random() < 0.15)) % 3],
                       seconds=2.0 + n % 5)
            for n, cell in enumerate(cells)
        ]  # fmt: skip
        assert all(r.accepted for r in record(services.database, who, events, label_set=services.label_set))
    refit_study(services)
    return services


def study_of_cells(home: Path, count: int) -> Services:
    """Make a study of cells CE-00000... on one field, without pictures."""
    services, now = Services.open(home), utc_now()
    slide = Slide(id="SL-A", kind="field", sha256="0" * 64, width_px=9, height_px=9, mpp=None, mpp_source="unknown",
                  added_at=now)  # fmt: skip
    cells = [
        Cell(id=f"CE-{n:05d}", slide_id="SL-A", x=1.0, y=1.0, crop_mpp=None, source_width_px=None,
             source_height_px=None, origin="imported", added_at=now)
        for n in range(count)
    ]  # fmt: skip
    catalog.add(services.database, [slide], cells)
    return services


def add_findings(home: Path, drawn: Path) -> None:
    """Give a study of drawn slides pairs and measures for the page Quality.

    Its first slide comes in once more, brighter, with another answer to the first cell; all is measured.
    """
    services = Services.open(home)
    name = "drawn-001.png"
    picture = cv2.imread(str(drawn / "images" / name)).astype(np.float32) + 6
    cv2.imwrite(str(drawn / "again.png"), np.minimum(picture, 255).astype(np.uint8))
    with (drawn / "cells.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["image"] == name][:6]
    points = [Point(x=float(row["x"]), y=float(row["y"]), category=row["bethesda_system"]) for row in rows]
    points[0] = replace(points[0], category="HSIL" if points[0].category != "HSIL" else "NILM")
    again = FieldFile(path=drawn / "again.png", points=tuple(points))
    take_in(services, Plan(layout="cric", fields=(again,)), mpp=DRAWN_MPP)
    write_json(home / QUALITY_FILE, survey(services).to_json())
    services.database.close()


def add_doubt(home: Path) -> str:
    """Put the answer of a study's first cell in doubt, as the figures do; return the cell."""
    services = Services.open(home)
    cell = catalog.cell_ids(services.database)[0]
    doubt = {"cell_id": cell, "answer": "LSIL", "likelihood": 0.01, "novelty": 0.95}
    figures = {"agreement": {}, "intra": {}, "stop": [], "arms": None, "second_look": [doubt]}
    write_json(home / FIGURES_FILE, figures)
    services.database.close()
    return cell


def add_disputes(home: Path) -> None:
    """Let ada and ben answer the last cells of a study, some of them differently."""
    services = Services.open(home)
    cells = catalog.cell_ids(services.database)[-12:]
    said = {"ada": ["NILM", "NILM", "LSIL", "HSIL"], "ben": ["NILM", "NILM", "ASC-US", "HSIL"]}
    for doctor, answers in said.items():
        events = [LabelEvent(key=f"{doctor}-{cell}", cell_id=cell, category=answers[place % len(answers)],
                             comment="small halo" if doctor == "ada" and place % 4 == 2 else None)
                  for place, cell in enumerate(cells)]  # fmt: skip
        assert all(r.accepted for r in record(services.database, doctor, events, label_set=services.label_set, reads=2))
    services.database.close()
