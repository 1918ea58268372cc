"""Which cells a doctor may choose among on the Label page, and cells of one suggestion out of the whole pool."""

from collections.abc import Collection
from dataclasses import dataclass

from app.present import PresentSuggestions, offer_of
from app.services import Services
from labeling import choices, leases
from labeling.choices import CHOSEN_REASON, GROUNDS
from labeling.leases import WorkItem
from labeling.openings import Focus


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What is left for an annotator, in cells."""

    left: int
    """Of what is asked for."""
    slides: dict[str, int]
    """By slide; slides without any are left out."""
    categories: dict[str, int] | None
    """By suggestion, on the slides that are asked for; None before the first fit and where a list would tell it."""
    grounds: dict[str, int]
    """Of the ranked list, by ground of choice, on the slides that are asked for."""


def find_choices(services: Services, present: PresentSuggestions, annotator: str, focus: Focus) -> Choices:
    """Count what is left for an annotator.

    Args:
        services: The open workspace.
        present: Its suggestions.
        annotator: Who asks.
        focus: What is asked for.
    """
    reads, is_shown = services.settings.reads, services.settings.suggestions == "shown"
    categories = _by_category(services, present, annotator, focus) if is_shown else None
    with services.database.read() as session:
        slides = choices.left_by_slide(session, annotator, reads=reads)
        grounds = {
            name: choices.left_on_grounds(session, annotator, Focus(slides=focus.slides, arms=arms), reads=reads)
            for name, arms in GROUNDS.items()
        }
        if focus.arms:
            left = choices.left_on_grounds(session, annotator, focus, reads=reads)
        elif focus.suggested:
            left = sum((categories or {}).get(name, 0) for name in focus.suggested)
        else:
            left = sum(count for slide, count in slides.items() if not focus.slides or slide in focus.slides)
    found = {slide: count for slide, count in sorted(slides.items()) if count > 0}
    return Choices(left=left, slides=found, categories=categories, grounds=grounds)


def _by_category(
    services: Services, present: PresentSuggestions, annotator: str, focus: Focus
) -> dict[str, int] | None:
    table = present.table()
    if table is None:
        return None
    with services.database.read() as session:
        gone = choices.kept_from(session, annotator, reads=services.settings.reads)
        within = choices.cells_within(session, annotator, focus)
    counts = {}
    for name in services.label_set.class_ids:
        cells = present.saying(name, table)
        counts[name] = sum(cell not in gone and (within is None or cell in within) for cell in cells)
    return counts


def take_suggested(
    services: Services, present: PresentSuggestions, annotator: str, focus: Focus, *, most: int,
    exclude: Collection[str],
) -> list[WorkItem]:  # fmt: skip
    """Lease cells of a suggestion out of the whole pool, the least sure first: the ranked list holds few of them.

    Args:
        services: The open workspace.
        present: Its suggestions.
        annotator: Who will decide.
        focus: What is asked for; names categories.
        most: At most so many.
        exclude: Cells that his browser holds already.
    """
    table, settings = present.table(), services.settings
    if table is None or most <= 0:
        return []
    cells = (cell for name in focus.suggested for cell in present.saying(name, table) if cell not in exclude)
    with services.database.read() as session:
        free = choices.open_among(session, annotator, cells, focus, reads=settings.reads, most=2 * most)
    offers = [offer_of(cell, CHOSEN_REASON, table) for cell in free]
    mine = leases.claim(services.database, annotator, offers, most=most, reads=settings.reads,
                        lease_seconds=settings.lease_seconds)  # fmt: skip
    held = leases.held(services.database, annotator)
    return [held[cell] for cell in mine if cell in held]
