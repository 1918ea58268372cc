"""Pretraining runs of a workspace as the page shows them: read from their folders, never computed.

A run that is going on in another process only appends to its journal, so reading disturbs nothing.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from app.services import Services
from app.words import word
from jepa.runlog import COLLAPSE, METRICS_FILE, PICTURE_FOLDER, Row, read_metrics

QUIET_SECONDS = 300.0
"""A run without a new line for this long is taken as stopped."""
MOST_POINTS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A curve of the page."""

    name: str
    """Key in the journal."""
    title: str
    sentence: str
    """How to read it."""


MEASURES = (
    Measure(
        name="rankme",
        title=word("Effective rank"),
        sentence=word("In how many directions pictures differ: should rise and stay up; a fall is a collapse."),
    ),
    Measure(
        name="knn_balanced_accuracy",
        title=word("Nearest labels"),
        sentence=word("How often the nearest cells of other slides have the right label: the curve closest to use."),
    ),
    Measure(
        name="predictor_r2",
        title=word("Predictor R2"),
        sentence=word("What is guessed beyond the average at each position: above 0 it learns about single pictures."),
    ),
    Measure(
        name="mean_cosine",
        title=word("Mean cosine"),
        sentence=word("How alike two pictures look to the encoder: near 1 it no longer tells them apart."),
    ),
    Measure(
        name="feature_std",
        title=word("Feature spread"),
        sentence=word("How much a feature varies between pictures: falling towards 0 is a collapse."),
    ),
    Measure(
        name="patch_rankme",
        title=word("Effective rank of patches"),
        sentence=word("The same for single patches: low while the other is high means that details are lost."),
    ),
    Measure(
        name="loss",
        title=word("Loss"),
        sentence=word("Distance of guess and target, which also moves: it may rise in a good run; never choose by it."),
    ),
    Measure(
        name="images_per_second",
        title=word("Images per second"),
        sentence=word("Mean speed since the start: a slow decline points to the disk or to another program."),
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run folder, read."""

    name: str
    config: dict[str, Any]
    rows: list[Row]
    """Lines of the journal, one for each step."""
    pictures: list[Path]
    """Pictures of patch tokens, oldest first."""
    saved_step: int
    """Of the newest checkpoint, 0 when there is none."""
    quiet_seconds: float
    """Since the last line."""

    @property
    def step(self) -> int:
        """Steps done."""
        return self.rows[-1]["step"] if self.rows else 0

    @property
    def state(self) -> str:
        """Where the run stands: `finished`, `running`, or `stopped` (by the clock, by hand, or by a fault)."""
        if self.step >= self.config.get("steps", 0):
            return "finished"
        has_ended = self.step == self.saved_step or self.quiet_seconds > QUIET_SECONDS
        return "stopped" if has_ended else "running"

    @property
    def collapses(self) -> list[tuple[int, str]]:
        """Warnings of a collapse, as (step, sentence), oldest first."""
        said = ((row["step"], row.get("warning") or "") for row in self.rows)
        return [(step, sentence) for step, sentence in said if sentence.startswith(COLLAPSE)]

    @property
    def standing_warning(self) -> str | None:
        """The sentence of the newest look, None when that look was fine."""
        looks = [row for row in self.rows if "rankme" in row]
        return looks[-1].get("warning") if looks else None

    def newest(self, name: str) -> float | None:
        """Return the newest value of a measure."""
        return next((row[name] for row in reversed(self.rows) if row.get(name) is not None), None)

    def curve(self, name: str) -> pd.DataFrame:
        """Return a measure as columns `step`, `value`, `run`; long curves as means of equal stretches."""
        points = [(row["step"], row[name]) for row in self.rows if row.get(name) is not None]
        frame = pd.DataFrame(points, columns=["step", "value"])
        if len(frame) > MOST_POINTS:
            stretch = np.arange(len(frame)) * MOST_POINTS // len(frame)
            frame = frame.groupby(stretch).mean()
        return frame.assign(run=self.name)


def run_folders(services: Services) -> list[Path]:
    """Return the workspace's runs, oldest first."""
    return sorted(path for path in (services.home / "runs").glob("run-*") if path.is_dir())


def read_run(folder: Path) -> Run:
    """Read one run; a folder without a journal is a run that has not begun."""
    config_path, journal = folder / "config.json", folder / METRICS_FILE
    return Run(
        name=folder.name,
        config=json.loads(config_path.read_text()) if config_path.exists() else {},
        rows=read_metrics(folder),
        pictures=sorted((folder / PICTURE_FOLDER).glob("step-*.png")),
        saved_step=max((int(path.name.removeprefix("step-")) for path in folder.glob("checkpoints/step-*")), default=0),
        quiet_seconds=time.time() - journal.stat().st_mtime if journal.exists() else float("inf"),
    )


STATES = {"finished": word("finished"), "running": word("running"), "stopped": word("stopped")}
"""What `Run.state` is called."""


def summary(runs: list[Run]) -> pd.DataFrame:
    """Return one line for each run, for the table of the page."""
    return pd.DataFrame(
        {
            "run": run.name,
            "state": run.state,
            "steps": f"{run.step} of {run.config.get('steps', '?')}",
            "objective": run.config.get("objective", "ijepa"),
            "rank": run.newest("rankme"),
            "nearest": run.newest("knn_balanced_accuracy"),
            "images/s": run.newest("images_per_second"),
            "warning": run.standing_warning or "",
        }
        for run in runs
    )
