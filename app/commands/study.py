"""`fit`, `worklist` and `export`: what a study makes of its labels."""

import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import click

from app import job_run
from app.commands.output import ProgressBar, emit, home_option, json_option, table, verb
from app.exports import moment_of
from app.refit import refit_study, watch
from app.services import Services
from labeling import accounts, orders, suggestions
from labeling import worklist as worklists
from labeling.export import FORMATS, Stage, export_labels
from labeling.export.agreed import AGREEMENTS, AgreementKind
from labeling.export.rows import Kind, Selection
from labeling.openings import Focus

_STAGES: dict[Stage, tuple[str, str]] = {
    "rows": ("export", "row"), "packed": ("pack", "file"), "checked": ("check", "file")
}  # fmt: skip
"""What the bar of an export says, and what it counts."""


@click.command()
@click.option("--watch", "is_watching", is_flag=True, help="Stay, and refit whenever labels arrive.")
@home_option
@json_option
@verb
def fit(is_watching: bool, home: Path, as_json: bool) -> None:
    """Refit the probe on all labels, and rank the worklist anew."""
    services = Services.open_existing(home)
    if is_watching:
        with job_run.running(home, "refit"):
            watch(services)
        return
    started = time.monotonic()
    report = refit_study(services)
    score = "-" if report.balanced_accuracy is None else f"{report.balanced_accuracy:.3f}"
    result = {
        "labels": report.labels, "classes": report.classes, "probe": report.probe_id,
        "seconds": round(time.monotonic() - started, 3),
        "balanced_accuracy": report.balanced_accuracy,
    }  # fmt: skip
    known = f"{report.labels} labels of {report.classes} classes"
    emit(as_json, result, [
        f"{known}, probe {report.probe_id}, balanced accuracy on slides left out {score}" if report.probe_id
        else f"{known}: no probe yet, it needs labels of two classes by doctors; label, then run this again.",
    ])  # fmt: skip


@click.command()
@click.option("--annotator", required=True, metavar="NAME", help="For whom: the name of an account.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=10, help="At most so many cells.")
@click.option("--slide", "slides", multiple=True, metavar="ID", help="Only this slide; may be given more than once.")
@click.option("--suggested", multiple=True, metavar="ID", help="Only cells for which this category is suggested.")
@home_option
@json_option
@verb
def worklist(annotator: str, limit: int, slides: tuple[str, ...], suggested: tuple[str, ...], home: Path,
             as_json: bool) -> None:  # fmt: skip
    """Show what a doctor would see next, and why; takes no lease."""
    services = Services.open_existing(home)
    _refuse_stranger(services, annotator)
    focus = Focus(slides=slides, suggested=suggested)
    items = worklists.peek(services.database, annotator, limit, reads=services.settings.reads, focus=focus)
    current = suggestions.current(services.database, services.probes_folder, services.store())
    rows: list[dict[str, object]] = []
    for item in items:
        # Behind the ranked ones the present suggestions serve: the probe has guessed every cell.
        guess = (item.suggestion, item.probability) if item.suggestion else (current and current.of(item.cell_id))
        category, probability = guess or (None, None)
        rows.append({"cell": item.cell_id, "reason": item.reason, "score": item.score,
                     "suggestion": category, "probability": probability})  # fmt: skip
    header = ("cell", "reason", "suggestion", "probability")
    shown = [(r["cell"], r["reason"], r["suggestion"], r["probability"]) for r in rows]
    emit(as_json, {"items": rows}, table(header, shown) if rows else ["nothing left to label"])


def _refuse_stranger(services: Services, annotator: str) -> None:
    """Refuse a name that nobody has; a study without accounts, one of imported labels alone, knows no names yet."""
    names = {account.name for account in accounts.list_accounts(services.database)}
    if names and annotator not in names.union(orders.readers(services.database)):
        raise click.ClickException(
            f"--annotator {annotator[:64]}: nobody of this name has an account or labels here; "
            "`cytojepa users list` names the accounts, `cytojepa users add` makes one."
        )


class _Moment(click.ParamType[datetime]):
    """A moment in UTC: a date, or a date and a time; another zone may be named."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return moment_of(str(value))
        except ValueError:
            self.fail(f"{value}: write it as 2026-01-31 or 2026-01-31T12:00.", param, ctx)


@click.command()
@click.argument("format_name", metavar="FORMAT", type=click.Choice((*FORMATS, "encoder")))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--slide", "slides", multiple=True, metavar="ID", help="Only this slide; may be given more than once.")
@click.option("--annotator", "annotators", multiple=True, metavar="NAME", help="Only this annotator's labels.")
@click.option("--category", "categories", multiple=True, metavar="ID", help="Only this category.")
@click.option("--current", "is_current", is_flag=True, help="Leave out what was taken back or replaced.")
@click.option(
    "--rows", "kind", type=click.Choice(get_args(Kind)), help="Only rows of this kind; the last two: csv and parquet."
)
@click.option("--agreement", type=click.Choice(AGREEMENTS), help="Only cells on which two doctors agree, differ, ...")
@click.option(
    "--min-share", type=click.FloatRange(0, 1), help="Only cells whose commonest answer has this share, 0 to 1."
)
@click.option("--min-readers", type=click.IntRange(1, 100), default=1, help="With --min-share: decided by so many.")
@click.option("--since", type=_Moment(), help="Only what was stored from this moment on (UTC, 2026-01-31T12:00).")
@click.option("--until", type=_Moment(), help="Only what was stored before this moment (UTC).")
@click.option(
    "--patients",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="CSV",
    help="Columns slide,patient: slides of one patient stand on one side of the split.",
)
@click.option("--encoder", default="default", metavar="NAME", help="For the format encoder: which one; see embed.")
@home_option
@json_option
@verb
def export(
    format_name: str, out: Path, slides: tuple[str, ...], annotators: tuple[str, ...], categories: tuple[str, ...],
    is_current: bool, kind: Kind | None, agreement: AgreementKind | None, min_share: float | None, min_readers: int,
    since: datetime | None, until: datetime | None, patients: Path | None, encoder: str, home: Path, as_json: bool,
) -> None:  # fmt: skip
    """Write labels with where they come from, or the encoder as safetensors. Same study, same bytes."""
    services = Services.open_existing(home)
    if format_name == "encoder":
        _export_encoder(services, encoder, out, as_json)
        return
    selection = Selection(
        slides=slides, annotators=annotators, categories=categories, is_current_only=is_current, agreement=agreement,
        min_share=min_share, min_readers=min_readers, since=since, until=until,
    )  # fmt: skip
    if kind is not None:
        selection = replace(selection, kinds=(kind,))
    bar = ProgressBar(*_STAGES["rows"])

    def told(stage: Stage, done: int, total: int) -> None:
        bar.enter(*_STAGES[stage])
        bar(done, total)

    try:
        report = export_labels(
            services.database, format_name, out, label_set=services.label_set, crop_px=services.settings.crop_px,
            selection=selection, patients=patients, on_progress=told,
        )  # fmt: skip
    finally:
        bar.close()
    result = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(report).items()}
    result["files"] = [str(file) for file in report.files]
    emit(as_json, result, [f"{report.rows} rows to {out}", f"sha256 {report.sha256}"])


def _export_encoder(services: Services, name: str, out: Path, as_json: bool) -> None:
    from app.encoders import weights_path  # torch takes seconds to import; other formats need none
    from jepa.checkpoint import export_encoder

    sha256, tensors = export_encoder(weights_path(services, name), out)
    result = {"rows": tensors, "files": [str(out)], "sha256": sha256}
    emit(as_json, result, [f"encoder with {tensors} tensors to {out}", f"sha256 {sha256}"])
