"""Files into a study: catalogue, label set and imported labels in one go."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from app.many_slides import ingest_with
from app.services import Services
from app.settings import SETTINGS_FILE
from app.workers import Workers
from datasets import catalog
from datasets.bethesda import BETHESDA, LABEL_SETS, Category, LabelSet
from datasets.errors import LayoutError
from datasets.ingest import ingest
from datasets.intake_report import IngestOptions, IngestReport, Keep
from datasets.public import Plan, plan
from labeling.imports.resolve import categories_by_word, normal_word
from labeling.imports.store import ImportedLabel, store_labels

_KEYS = "123456789QWETASDG"
_COLORS = (
    "#4363c9",
    "#6fb6e0",
    "#43936c",
    "#e0ac36",
    "#c9692b",
    "#a12c7d",
    "#55622d",
    "#7d5a3c",
    "#7a1f2b",
)
_SHAPES = ("circle", "triangle", "square", "diamond", "star", "cross", "ring", "bar")


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """What came in."""

    report: IngestReport
    labels: int
    """New labels of the annotator `imported`."""
    notes: tuple[str, ...]
    """Sentences that the operator must see."""


def take_in(
    services: Services, plan: Plan, *, mpp: float | None = None, mpp_wins: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None, workers: Workers | None = None,
    keep: Keep = "refer",
) -> Intake:  # fmt: skip
    """Ingest a plan's files and store the labels that came with them.

    Args:
        services: The open workspace.
        plan: From `datasets.public.plan`.
        mpp: Scale of all files in um/px that do not tell, None for what the set publishes.
        mpp_wins: Also of scans that tell another one.
        on_progress: Called with (files done, files in all).
        workers: Who reads the files; None: this process.
        keep: What becomes of scans.

    Returns:
        The report. Labels whose name is not in the study's label set are listed as refused; their
        cells are in.
    """
    settings = services.settings
    options = IngestOptions(side_um=settings.crop_um, side_px=settings.crop_px, mpp=mpp, mpp_wins=mpp_wins, keep=keep)
    if workers is None:
        report = ingest(services.database, services.home, services.secret_key, plan, options, on_progress)
    else:
        report = ingest_with(workers, services, plan, options, on_progress)
    labels, unknown = _sort_labels(report.labels, services.label_set)
    report.refused += [
        (
            Path(word),
            f"{count} labels: not in the label set {services.label_set.id}; the cells are in",
        )
        for word, count in unknown.items()
    ]
    count = store_labels(services.database, labels).new
    notes = plan.notes
    if report.scaled:
        notes = (*notes, f"{report.scaled} fields or scans have the given scale now. Next: cytojepa detect.")
    if report.mpp is None and not (plan.cells or report.cells) and report.fields_without_scale:
        notes = (
            *notes,
            f"{report.fields_without_scale} fields do not tell their scale, so no cells can be found there: "
            "give the same files again with --mpp UM_PER_PX.",
        )
    elif report.mpp is None and (plan.cells or report.fields_without_scale):
        notes = (
            *notes,
            f"Scale unknown: crops are {settings.crop_px} source pixels, "
            f"not {settings.crop_um:.0f} um, and sizes cannot be compared. Give --mpp with a new workspace to mend it.",
        )
    if report.referred:
        notes = (
            *notes,
            f"{report.referred} scans are read where they are: their files keep label pictures and texts, "
            "and must stay there. --copy makes clean copies in the study.",
        )
    return Intake(report=report, labels=count, notes=notes)


def atlas_from_files(
    services: Services, folder: Path, *, mpp: float | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:  # fmt: skip
    """Ingest the pictures of an atlas; what its folders or tables say of them is nobody's label.

    Args:
        services: The open workspace.
        folder: Class-named folders, or fields with a table of points.
        mpp: Scale of all files in um/px, None for what the set publishes.
        on_progress: Called with (files done, files in all).

    Returns:
        Cells with their classes, and what was refused with the reason; files are named without their folders.
    """
    settings = services.settings
    options = IngestOptions(side_um=settings.crop_um, side_px=settings.crop_px, mpp=mpp)
    report = ingest(services.database, services.home, services.secret_key, plan(folder), options, on_progress)
    labels, unknown = _sort_labels(report.labels, services.label_set)
    refused = [(path.name, reason) for path, reason in report.refused]
    refused += [(word, f"{n} cells: not in the label set {services.label_set.id}") for word, n in unknown.items()]
    return [(label.cell_id, label.category) for label in labels], refused


def _sort_labels(labels: Iterable[tuple[str, str]], label_set: LabelSet) -> tuple[list[ImportedLabel], Counter[str]]:
    by_word = categories_by_word(label_set)
    known, unknown = [], Counter[str]()
    for cell_id, word in labels:
        category = by_word.get(normal_word(word))
        if category is None:
            unknown[word] += 1
        else:
            known.append(ImportedLabel(cell_id=cell_id, category=category))
    return known, unknown


def adopt_label_set(services: Services, plan: Plan) -> tuple[Services, str | None]:
    """Let the first ingest into a fresh workspace choose the label set, and write the settings.

    Args:
        services: The open workspace.
        plan: What will be ingested.

    Returns:
        The workspace with its label set, and a sentence when it was chosen here.
    """
    is_fresh = not (services.home / SETTINGS_FILE).exists()
    if not is_fresh or catalog.counts(services.database).cells:
        return services, None
    words = sorted({cell.category for cell in plan.cells})
    label_set = _fitting_set(words) if words else BETHESDA
    settings = replace(services.settings, label_set=label_set)
    settings.save(services.home)
    sentence = f"Label set: {label_set.name}, {len(label_set.categories)} answers ({SETTINGS_FILE})."
    return replace(services, settings=settings), sentence


def _fitting_set(words: list[str]) -> LabelSet:
    for known in LABEL_SETS.values():
        if {normal_word(word) for word in words} <= {normal_word(i) for i in known.ids}:
            return known
    if len(words) > len(_KEYS):
        raise LayoutError(
            f"{len(words)} class folders: at most {len(_KEYS)} have a key each. "
            "Write [[study.categories]] into the settings first."
        )
    categories = tuple(
        Category(
            id=word, key=_KEYS[i], name=word.replace("_", " "),
            description="From the folder of this name",
            group="Classes", color=_COLORS[i % len(_COLORS)], shape=_SHAPES[i % len(_SHAPES)],
        )
        for i, word in enumerate(words)
    )  # fmt: skip
    others = tuple(c for c in BETHESDA.categories if c.group == "Other" and c.id not in words)
    return LabelSet(id="folders", name="From the folders' names", categories=(*categories, *others))
