"""An encoder that sees the slide is told from one that sees the cell, from real vectors and labels."""

import numpy as np
import pytest

from app.cell_map import draw_neighbourhoods, map_path, read_map, update_map
from app.slide_gap import measure_gap, read_gap, write_gap
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from datasets.embeddings import EmbeddingStore, set_current
from labeling.labels import LabelEvent, record

CELLS, SLIDES = 160, 8


def _study(services, *, sees_slides: bool) -> EmbeddingStore:
    """Return the store of a study of two classes on eight slides."""
    now = utc_now()
    slides = [Slide(id=f"SL{n}", kind="cells", mpp=0.25, mpp_source="given", added_at=now) for n in range(SLIDES)]
    cells = [Cell(id=f"CE{n:04d}", slide_id=f"SL{n % SLIDES}", origin="imported", added_at=now) for n in range(CELLS)]
    catalog.add(services.database, slides, cells)
    generator = np.random.default_rng(0)
    kind = np.arange(CELLS) // SLIDES % 2
    vectors = generator.normal(size=(CELLS, 12)) + 3.0 * np.eye(12)[kind]
    if sees_slides:
        # What a slide looks like drowns the class, and tells it only together with the slide.
        vectors += 12.0 * np.eye(12)[2 + np.arange(CELLS) % SLIDES]
    store = EmbeddingStore(services.embeddings_folder, "f")
    store.append([cell.id for cell in cells], vectors)
    set_current(services.embeddings_folder, "f")
    events = [LabelEvent(key=c.id, cell_id=c.id, category=("NILM", "HSIL")[kind[n]]) for n, c in enumerate(cells)]
    assert all(r.accepted for r in record(services.database, "ada", events, label_set=services.label_set))
    return store


def test_encoder_of_cells__has_neighbours_of_all_slides_and_no_gap(services) -> None:
    gap = measure_gap(services, _study(services, sees_slides=False))

    assert gap.own_slide == pytest.approx(gap.by_chance, abs=0.06)
    assert gap.by_chance == pytest.approx(19 / 159)
    assert gap.unknown_slides == pytest.approx(gap.known_slides, abs=0.05)
    assert gap.labels == CELLS


def test_encoder_of_slides__has_its_neighbours_on_the_same_slide(services) -> None:
    gap = measure_gap(services, _study(services, sees_slides=True))
    write_gap(services.home, "f", gap)

    assert gap.own_slide > 0.9
    assert read_gap(services.home, "f") == gap


@pytest.mark.filterwarnings("ignore")  # umap warns of its own fixed seed, and numba of its caches
# The library compiles itself for most of a minute.
@pytest.mark.slow
def test_neighbourhoods__keep_two_kinds_apart_and_lie_beside_the_other_map(services) -> None:
    store = _study(services, sees_slides=False)
    update_map(services.home, store)
    draw_neighbourhoods(services.home, store)
    points = read_map(services.home, store, "umap")
    kind = np.arange(CELLS) // SLIDES % 2
    assert points is not None
    centres = [points[kind == k].astype(float).mean(axis=0) for k in (0, 1)]
    spread = np.mean([points[kind == k].astype(float).std(axis=0).max() for k in (0, 1)])

    assert np.abs(centres[0] - centres[1]).max() > spread
    assert map_path(services.home, "f").exists()
