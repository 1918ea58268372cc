"""What a doctor may see of the cells on a slide, and the right to decide one of them."""

from dataclasses import dataclass

from app.present import offer_of
from app.services import Services
from datasets import catalog, places
from datasets.catalog import Cell
from labeling import answers, leases
from labeling.leases import WorkItem
from labeling.records import Label
from labeling.suggestions import SuggestionTable, current

ON_SLIDE = "chosen on its slide"
"""Why such a cell was shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideCells:
    """The cells of one slide, as one annotator may see them."""

    cells: list[Cell]
    radii_um: dict[str, float]
    """Half the longer side of the boxes of detected nuclei."""
    planes_um: dict[str, float]
    """The planes of the crops, where the slide has several."""
    own: dict[str, Label]
    """His current answers."""
    guesses: dict[str, tuple[str, float]] | None
    """Suggestions that may be seen before the answer; None where the study shows none then."""


def cells_of(services: Services, annotator: str, slide_id: str) -> SlideCells:
    """Return a slide's cells with the annotator's own answers: never a colleague's."""
    database = services.database
    cells = [cell for cell in catalog.cells_of_slide(database, slide_id) if cell.x is not None and cell.y is not None]
    boxes = places.nuclei_of_slide(database, slide_id)
    return SlideCells(
        cells=cells,
        radii_um={cell_id: max(box.width_um, box.height_um) / 2 for cell_id, box in boxes.items()},
        planes_um=places.planes_of_slide(database, slide_id),
        own={label.cell_id: label for label in answers.labels_on_slide(database, annotator, slide_id)},
        guesses=_guesses(services, annotator, cells),
    )


def _guesses(services: Services, annotator: str, cells: list[Cell]) -> dict[str, tuple[str, float]] | None:
    if services.settings.suggestions != "shown":
        return None
    table, unhelped = _suggestions(services), leases.held_for_checks(services.database, annotator)
    found = {cell.id: table.of(cell.id) for cell in cells} if table else {}
    return {cell: guess for cell, guess in found.items() if guess is not None and cell not in unhelped}


def _suggestions(services: Services) -> SuggestionTable | None:
    return current(services.database, services.probes_folder, services.store())


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A cell that is the annotator's to decide now."""

    item: WorkItem
    is_new: bool
    """False where he had it already, from the worklist: it is not given back when he looks elsewhere."""


def claim(services: Services, annotator: str, cell_id: str) -> Claimed | None:
    """Lease a cell of a slide to the one who chose it there; None where it needs no reader of his."""
    database, settings = services.database, services.settings
    known = leases.held(database, annotator).get(cell_id)
    offer = offer_of(cell_id, ON_SLIDE, _suggestions(services))
    # Also where he has it already: that the page gave it back a moment ago may arrive after this, and must not end it.
    leases.claim(database, annotator, [offer], most=1, reads=settings.reads, lease_seconds=settings.lease_seconds)
    item = known or leases.held(database, annotator).get(cell_id)
    return None if item is None else Claimed(item=item, is_new=known is None)
