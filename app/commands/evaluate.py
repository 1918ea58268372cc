"""`evaluate`: low-shot balanced accuracy beside the baselines that keep one honest."""

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from app import evaluation, report
from app.commands.output import ProgressBar, emit, home_option, json_option, table, verb
from app.encoders import HANDCRAFTED, SHIPPED, newest_of_workspace, open_encoder, open_learned
from app.evaluation import CurvePair, Floats, Pool, Score
from app.intake import adopt_label_set, take_in
from app.services import Services
from datasets.errors import LayoutError
from datasets.files import write_atomically
from datasets.public import Plan, plan
from jepa.embed import Encoder
from jepa.encoder import random_encoder
from labeling import blindtest
from labeling.acquisition import DEFAULT_RULE, RULES
from labeling.curves import shots_given

SIZE, RANDOM = "size", "random"
BASELINES = (SIZE, RANDOM, HANDCRAFTED)
"""Always beside what was asked for."""


@click.command()
@click.option("--workspace", is_flag=True, help="Evaluate this study's cells that have labels.")
@click.option("--truth", type=click.Choice(evaluation.TRUTHS), default=evaluation.TRUTHS[0],
              help="With --workspace: labels that came along, or the doctors' (verdict, else majority).")  # fmt: skip
@click.option(
    "--cells", "folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Evaluate class-named folders, or fields with a table of points; nothing is kept.",
)  # fmt: skip
@click.option(
    "--groups", "groups_file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="CSV",
    help="Columns path,group: which files are of one slide or patient [default: what the layout tells].",
)  # fmt: skip
@click.option("--mpp", type=float, help="Scale of the folder's pictures in um/px.")
@click.option(
    "--encoders", default="", metavar="A,B",
    help="default, shipped, handcrafted, checkpoint folders, several joined by + [default: newest run, shipped].",
)  # fmt: skip
@click.option("--shots", default="1,5,10,20", metavar="N,M", help="Labels for each class.")
@click.option("--seeds", type=click.IntRange(1, 100), default=5, help="Draws for each number of labels.")
@click.option("--active", "is_active", is_flag=True, help="Also compare this study's queue with chance.")
@click.option("--acquisition", default=DEFAULT_RULE, metavar="NAME", help="The rule of the --active queue.")
@click.option("--budget", type=click.IntRange(20, 10_000), default=200, help="Labels of the --active curves.")
@click.option("--report", "report_file", type=click.Path(path_type=Path), metavar="OUT.html", help="Write a report.")
@home_option
@json_option
@verb
def evaluate(workspace: bool, truth: str, folder: Path | None, groups_file: Path | None, mpp: float | None,
             encoders: str, shots: str, seeds: int, is_active: bool, acquisition: str, budget: int,
             report_file: Path | None, home: Path, as_json: bool) -> None:  # fmt: skip
    """Score frozen encoders by linear probes; train and test never share a slide."""
    _refuse_unfit(folder, is_workspace=workspace, truth=truth, of_folder=bool(groups_file or mpp))
    if acquisition not in RULES:
        raise click.UsageError(f"--acquisition {acquisition}: there are {', '.join(RULES)}.")
    counts = _shots(shots)
    with tempfile.TemporaryDirectory() as scratch:
        target, notes = (
            _temporary_study(Path(scratch), folder, groups_file, mpp) if folder else (Services.open(home), [])
        )
        # Looking must not make a workspace: where there is none, what is evaluated stands for it.
        study = Services.open(home) if home.exists() and home != target.home else target
        desk = _Desk(study=study, target=target, pool=evaluation.load_pool(target, truth))
        notes += _caveats(desk.pool, shots=counts, seeds=seeds)
        names = desk.names(encoders)
        scores, curves, doctors = [], [], []
        for name in names:
            features = desk.features(name)
            scores += evaluation.score_shots(desk.pool, name, features, shots=counts, seeds=seeds)
            by_doctors = evaluation.score_doctors(target, desk.pool, name, features)
            doctors += [by_doctors] if by_doctors else []
            if is_active and name not in (SIZE, RANDOM):
                pair = evaluation.compare_queues(
                    desk.pool, name, features, budget=budget, seeds=seeds, rule=acquisition
                )
                curves.append(pair)
        blind = None if folder else _blind(target)
        for opened in (target, study):
            opened.database.close()
    pool = desk.pool
    findings = report.Findings(
        cells=len(pool.cell_ids), slides=len(set(pool.slides)), classes=len(set(pool.truth)),
        chance=evaluation.chance(pool), scores=scores, doctors=doctors, active=curves, seeds=seeds,
        blind=blind, notes=notes,
    )  # fmt: skip
    if report_file:
        write_atomically(report_file, report.render(findings).encode())
    emit(as_json, _result(findings, report_file), _lines(findings))


def _caveats(pool: Pool, *, shots: Sequence[int], seeds: int) -> list[str]:
    """Say what the figures of a pool cannot tell: nothing names the slides, or classes have too few cells."""
    found = []
    if len(set(pool.slides)) == len(pool.slides):
        found.append(
            f"Each of the {len(pool.slides)} cells counts as a slide of its own. Where several are of one slide or "
            "patient, train and test share it and the figures flatter: with --cells, --groups names them."
        )
    classes = len(set(pool.truth))
    for count in shots:
        given = shots_given(pool.split_by, shots=count, seeds=seeds)
        if round(given) < count * classes:
            found.append(
                f"{count} labels of each class: {given:.0f} in all instead of {count * classes} (mean of the draws), "
                "because classes have fewer cells on the training side."
            )
    return found


def _refuse_unfit(folder: Path | None, *, is_workspace: bool, truth: str, of_folder: bool) -> None:
    if is_workspace == (folder is not None):
        raise click.UsageError("give either --workspace or --cells FOLDER.")
    if folder is not None and truth != evaluation.TRUTHS[0]:
        raise click.UsageError(f"--truth {truth} goes with --workspace: a folder has only the labels of its names.")
    if folder is None and of_folder:
        raise click.UsageError("--groups and --mpp go with --cells FOLDER.")


def _blind(study: Services) -> str | None:
    found = blindtest.figures(study.database, study.probes_folder, study.store(), study.label_set)
    return None if found is None else found.sentence()


def _shots(text: str) -> list[int]:
    try:
        counts = sorted({int(part) for part in text.split(",") if part.strip()})
    except ValueError as error:
        raise click.UsageError(f"--shots {text}: write whole numbers with commas.") from error
    if not counts or counts[0] < 1:
        raise click.UsageError(f"--shots {text}: give numbers of 1 and more.")
    return counts


def _temporary_study(
    scratch: Path, folder: Path, groups_file: Path | None, mpp: float | None
) -> tuple[Services, list[str]]:  # fmt: skip
    services = Services.open(scratch)
    found = plan(folder)
    classes = sorted({cell.category for cell in found.cells})
    if len(classes) < 2 and not any(file.points for file in found.fields):
        raise LayoutError(
            f"{folder}: classes in it: {', '.join(classes) or 'none'}. Two folders at least that are called like their "
            "classes, with pictures in them, or fields with a table of points, are needed."
        )
    if groups_file:
        found = _with_groups(found, folder, groups_file)
    services, _ = adopt_label_set(services, found)
    bar = ProgressBar("read", "file")
    intake = take_in(services, found, mpp=mpp, on_progress=bar)
    bar.close()
    for path, reason in intake.report.refused[:10]:
        click.echo(f"left out: {path}: {reason}", err=True)
    if len(intake.report.refused) > 10:
        click.echo(f"left out: {len(intake.report.refused) - 10} more", err=True)
    return services, list(intake.notes)


def _with_groups(found: Plan, folder: Path, groups_file: Path) -> Plan:
    """Give every single-cell picture the group that the table names for it."""
    if not found.cells:
        raise LayoutError(f"{folder}: --groups is for class-named folders; points are split by their field.")
    with groups_file.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        if not {"path", "group"} <= set(rows.fieldnames or ()):
            raise LayoutError(f"{groups_file}: the columns path and group are needed.")
        group_of = {Path(row["path"]).as_posix(): row["group"] for row in rows}
    paths = [cell.path.relative_to(folder).as_posix() for cell in found.cells]
    missing = [path for path in paths if not group_of.get(path)]
    if missing:
        raise LayoutError(f"{groups_file}: {len(missing)} files have no group, {missing[0]} for one; add their lines.")
    cells = tuple(replace(cell, group=group_of[path]) for cell, path in zip(found.cells, paths, strict=True))
    return replace(found, cells=cells)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Desk:
    """What is evaluated, and the workspace whose encoders are meant."""

    study: Services
    target: Services
    pool: Pool

    def names(self, asked: str) -> list[str]:
        """Return the encoders that were asked for, then the baselines that were not."""
        names = [name.strip() for name in asked.split(",") if name.strip()]
        if not names:
            names = ["default", SHIPPED] if newest_of_workspace(self.study) else [SHIPPED]
        baselines = [name for name in BASELINES if name not in names]
        return [name for name in (*names, *baselines) if name != SIZE or self.pool.sizes.any()]

    def features(self, name: str) -> Floats:
        """Return an encoder's vectors of the pool."""
        if name == SIZE:
            return self.pool.sizes
        study = self.study
        if name == "default" and study.home == self.target.home and study.store() is not None:
            return evaluation.store_features(study, self.pool)
        encoder: Encoder
        if name == RANDOM:
            encoder = random_encoder(open_learned(study, "default").config, seed=0)
        else:
            encoder = open_encoder(study, name)
        bar = ProgressBar(f"embed ({name})", "cell")
        try:
            return evaluation.encoder_features(self.target, self.pool, encoder, bar)
        finally:
            bar.close()


def _result(findings: report.Findings, report_file: Path | None) -> dict[str, object]:
    results = evaluation.as_json(findings.scores)
    return {
        "cells": findings.cells, "groups": findings.slides, "classes": findings.classes, "seeds": findings.seeds,
        "results": results, "doctors": evaluation.as_json(findings.doctors),
        "baselines": {"chance": findings.chance, "results": [r for r in results if r["encoder"] in BASELINES]},
        "active": evaluation.as_json(findings.active) or None,
        "notes": list(findings.notes), "blind_test_set": findings.blind,
        "report": str(report_file) if report_file else None,
    }  # fmt: skip


def _lines(findings: report.Findings) -> list[str]:
    lines = [
        f"{findings.cells} cells, {findings.slides} slides, {findings.classes} classes; "
        f"guessing gives {findings.chance:.3f}. Balanced accuracy on other slides:"
    ]
    lines += table(("encoder", "labels per class", "balanced accuracy", "low", "high"), map(_row, findings.scores))
    lines += [
        f"{s.encoder}, {s.labels} labels of doctors: {s.balanced_accuracy:.3f} ({s.low:.3f} to {s.high:.3f})"
        for s in findings.doctors
    ]
    lines += [findings.blind] if findings.blind else []
    lines += findings.notes
    return lines + [_sentence(pair) for pair in findings.active]


def _row(score: Score) -> tuple[object, ...]:
    return score.encoder, score.shots, score.balanced_accuracy, score.low, score.high


def _sentence(pair: CurvePair) -> str:
    def words(labels: int | None) -> str:
        return f"more than {pair.labels[-1]}" if labels is None else str(labels)

    rare = (
        f"; cells of rare classes found: {pair.rare_found_active:.1f} against {pair.rare_found_random:.1f}"
        if pair.rare_classes else ""
    )  # fmt: skip
    return (
        f"{pair.encoder}, labels for 95 % of the score with all labels ({pair.all_labels:.3f}): active "
        f"{words(pair.active_labels_needed)}, at random {words(pair.random_labels_needed)}; "
        f"with {pair.labels[-1]} labels {pair.active[-1][0]:.3f} against {pair.random[-1][0]:.3f}{rare}"
    )
