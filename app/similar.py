"""A page of the gallery: cells that resemble each other, leased to the one who looks at them.

In a study that asks first, a page is of like cells and says nothing of suggestions: neither which one
nor how sure. Where the study shows suggestions before the answer, a page may be of one suggestion, the
surest or the most alike first. Known cells of another category are mixed into both (`labeling.foils`).
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.present import offer_of
from app.services import Services
from datasets.embeddings import EmbeddingStore
from labeling import foils, leases
from labeling.neighbours import more_like
from labeling.suggestions import SuggestionTable, current
from labeling.worklist import peek

_GROWTH = 8
"""How much farther to look when the nearest cells are all decided or held."""
_RANDOM = random.SystemRandom()
"""Nobody can know beforehand where a foil stands."""
_LIKE = "resembles the other cells of a gallery page"

Order = Literal["likeness", "certainty"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryPage:
    """Cells of one page, in the order in which to show them."""

    cell_ids: tuple[str, ...]
    seed: str | None
    """The cell that they resemble; None where nothing is known about likeness."""
    suggestions: SuggestionTable | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a page is to hold."""

    limit: int
    like: str | None = None
    """The cell that they are to resemble; None: the one that is next on the worklist."""
    suggested: str | None = None
    """Only cells of which the probe says this; None: any."""
    order: Order = "likeness"
    exclude: tuple[str, ...] = ()
    """Cells that another page of the same person shows."""


def chosen_page(services: Services, annotator: str, cell_ids: list[str]) -> GalleryPage:
    """Lease the cells that somebody chose on the map, as far as they need a reader."""
    settings, store = services.settings, services.store()
    suggestions = current(services.database, services.probes_folder, store)
    found = leases.claim(services.database, annotator, [offer_of(cell_id, _LIKE, suggestions) for cell_id in cell_ids],
                         most=len(cell_ids), reads=settings.reads, lease_seconds=settings.lease_seconds)  # fmt: skip
    return GalleryPage(cell_ids=tuple(found), seed=None, suggestions=suggestions)


def gallery_page(services: Services, annotator: str, wanted: Wanted) -> GalleryPage:
    """Lease the cells of a page, foils among them.

    Args:
        services: The open workspace.
        annotator: Who looks at them.
        wanted: What the page is to hold.
    """
    store = services.store()
    if store is None or not len(store):
        items = leases.take(services.database, annotator, wanted.limit, reads=services.settings.reads,
                            lease_seconds=services.settings.lease_seconds, exclude=wanted.exclude)  # fmt: skip
        return GalleryPage(cell_ids=tuple(item.cell_id for item in items), seed=None, suggestions=None)
    suggestions = current(services.database, services.probes_folder, store)
    rows = store.row_of()
    seed = wanted.like if wanted.like in rows else _next_cell(services, annotator, rows)
    if seed is None:
        return GalleryPage(cell_ids=(), seed=None, suggestions=suggestions)
    wanted = replace(wanted, like=seed)
    found = _claimed(services, annotator, wanted, store, suggestions)
    if suggestions is not None and found:
        found = _with_foils(services, annotator, found, suggestions, wanted)
    is_like = wanted.order == "likeness"
    return GalleryPage(cell_ids=tuple(found), seed=seed if is_like else None, suggestions=suggestions)


def _claimed(
    services: Services, annotator: str, wanted: Wanted, store: EmbeddingStore, suggestions: SuggestionTable | None
) -> list[str]:
    settings, limit = services.settings, wanted.limit
    unwanted = set(wanted.exclude)
    found: list[str] = []
    for near in _batches(services, store, suggestions, wanted):
        offers = [offer_of(cell_id, _LIKE, suggestions) for cell_id in near if cell_id not in unwanted.union(found)]
        found += leases.claim(services.database, annotator, offers, most=limit - len(found),
                              reads=settings.reads, lease_seconds=settings.lease_seconds)  # fmt: skip
        if len(found) >= limit:
            break
    return found


def _batches(
    services: Services, store: EmbeddingStore, suggestions: SuggestionTable | None, wanted: Wanted
) -> Iterator[list[str]]:
    """Yield the cells that fit, best first, twice as many at a time as the page holds."""
    is_asked = wanted.suggested is not None or wanted.order == "certainty"
    fits = _fitting(suggestions, wanted) if is_asked and suggestions is not None else None
    size = 2 * wanted.limit
    if fits is not None and wanted.order == "certainty":
        for start in range(0, len(fits), size):
            yield [store.cell_ids[row] for row in fits[start : start + size]]
        return
    folder, seed = services.neighbours_folder(store.fingerprint), store.row_of()[wanted.like or ""]
    count = looked = 0
    while looked < len(store):
        count = min(max(2 * size, _GROWTH * count), len(store))
        near = more_like(folder, store.stack(), seed, count)[looked:]
        near = near if fits is None else near[np.isin(near, fits)]
        for start in range(0, len(near), size):
            yield [store.cell_ids[row] for row in near[start : start + size]]
        looked = count


def _fitting(suggestions: SuggestionTable, wanted: Wanted) -> NDArray[np.intp]:
    """Return the rows of which the probe says what is wanted, the surest first."""
    table = np.asarray(suggestions.probabilities)
    rows = np.arange(len(table))
    if wanted.suggested is not None:
        rows = rows[np.array(suggestions.classes)[table.argmax(axis=1)] == wanted.suggested]
    found: NDArray[np.intp] = rows[np.argsort(-table[rows].max(axis=1), kind="stable")]
    return found


def _with_foils(
    services: Services, annotator: str, found: list[str], suggestions: SuggestionTable, wanted: Wanted
) -> list[str]:
    """Put foils in places drawn by chance; the last cells of the page make room for them."""
    settings = services.settings
    count = foils.how_many(len(found), settings.foil_percent, _RANDOM)
    known = foils.known(services.database) if count else {}
    if not known:
        return found
    guesses = {cell: guess[0] for cell in {*known, *found} if (guess := suggestions.of(cell)) is not None}
    on_page = Counter(guesses[cell] for cell in found if cell in guesses)
    looks_like = wanted.suggested or (on_page.most_common(1)[0][0] if on_page else "")
    shown = guesses if settings.suggestions == "shown" else None
    fitting = foils.candidates(known, looks_like, services.label_set, suggested=shown)
    fitting = [cell for cell in fitting if cell not in found and cell not in wanted.exclude]
    drawn = _RANDOM.sample(fitting, min(4 * count, len(fitting)))
    offers = [offer_of(cell, _LIKE, suggestions) for cell in drawn]
    lent = foils.lend(services.database, annotator, offers, most=count, lease_seconds=settings.lease_seconds)
    dropped = found[wanted.limit - len(lent) :] if len(found) + len(lent) > wanted.limit else []
    leases.give_back(services.database, annotator, dropped)
    page = [cell for cell in found if cell not in dropped]
    for cell in lent:
        page.insert(_RANDOM.randrange(1, len(page) + 1), cell)
    return page


def _next_cell(services: Services, annotator: str, rows: dict[str, int]) -> str | None:
    ahead = peek(services.database, annotator, 20, reads=services.settings.reads)
    return next((item.cell_id for item in ahead if item.cell_id in rows), None)
