"""A page of the gallery: cells that resemble each other, leased to the one who looks at them."""

from dataclasses import dataclass

from app.services import Services
from labeling import leases
from labeling.leases import Offer
from labeling.neighbours import more_like
from labeling.suggestions import SuggestionTable, current
from labeling.worklist import peek

_GROWTH = 8
"""How much farther to look when the nearest cells are all decided or held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryPage:
    """Cells of one page, most similar to the seed first."""

    cell_ids: tuple[str, ...]
    seed: str | None
    """The cell that they resemble; None where nothing is known about likeness."""
    suggestions: SuggestionTable | None


def chosen_page(services: Services, annotator: str, cell_ids: list[str]) -> GalleryPage:
    """Lease the cells that somebody chose on the map, as far as they need a reader."""
    settings, store = services.settings, services.store()
    suggestions = current(services.database, services.probes_folder, store)
    found = leases.claim(services.database, annotator, [_offer(cell_id, suggestions) for cell_id in cell_ids],
                         most=len(cell_ids), reads=settings.reads, lease_seconds=settings.lease_seconds)  # fmt: skip
    return GalleryPage(cell_ids=tuple(found), seed=None, suggestions=suggestions)


def gallery_page(
    services: Services, annotator: str, *, like: str | None, limit: int, exclude: list[str]
) -> GalleryPage:
    """Lease the cells of a page.

    Args:
        services: The open workspace.
        annotator: Who looks at them.
        like: The cell that they are to resemble; None: the one that is next on the worklist.
        limit: At most this many.
        exclude: Cells that another page of the same person shows.
    """
    settings = services.settings
    store = services.store()
    if store is None or not len(store):
        items = leases.take(services.database, annotator, limit, reads=settings.reads,
                            lease_seconds=settings.lease_seconds, exclude=exclude)  # fmt: skip
        return GalleryPage(cell_ids=tuple(item.cell_id for item in items), seed=None, suggestions=None)
    suggestions = current(services.database, services.probes_folder, store)
    rows = store.row_of()
    seed = like if like in rows else _next_cell(services, annotator, rows)
    if seed is None:
        return GalleryPage(cell_ids=(), seed=None, suggestions=suggestions)
    folder, unwanted = services.neighbours_folder(store.fingerprint), set(exclude)
    found: list[str] = []
    count = looked = 0
    while len(found) < limit and looked < len(store):
        count = min(max(4 * limit, _GROWTH * count), len(store))
        near = more_like(folder, store.stack(), rows[seed], count)
        for start in range(looked, len(near), 2 * limit):
            part = [store.cell_ids[row] for row in near[start : start + 2 * limit]]
            offers = [_offer(cell_id, suggestions) for cell_id in part if cell_id not in unwanted.union(found)]
            found += leases.claim(services.database, annotator, offers, most=limit - len(found),
                                  reads=settings.reads, lease_seconds=settings.lease_seconds)  # fmt: skip
            if len(found) >= limit:
                break
        looked = count
    return GalleryPage(cell_ids=tuple(found), seed=seed, suggestions=suggestions)


def _next_cell(services: Services, annotator: str, rows: dict[str, int]) -> str | None:
    ahead = peek(services.database, annotator, 20, reads=services.settings.reads)
    return next((item.cell_id for item in ahead if item.cell_id in rows), None)


def _offer(cell_id: str, suggestions: SuggestionTable | None) -> Offer:
    guess = suggestions.of(cell_id) if suggestions else None
    category, probability = guess or (None, None)
    return Offer(cell_id=cell_id, reason="resembles the other cells of a gallery page", suggestion=category,
                 probability=probability, probe_id=suggestions.probe_id if suggestions and guess else None)  # fmt: skip
