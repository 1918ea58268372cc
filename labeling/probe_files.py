"""The files of a probe: what it guessed, its weights, the labels that it saw, its settings and figures."""

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets.db import utc_now
from datasets.files import write_atomically, write_json
from labeling.errors import ProbeGone
from labeling.fitting import Fit, Training
from labeling.records import Probe

KEPT_PROBES = 5


def probabilities_path(folder: Path, probe_id: str) -> Path:
    """Return where a probe's guesses lie."""
    return folder / probe_id / "probabilities.npy"


def write(
    folder: Path, probe_id: str, fingerprint: str, found: Fit, training: Training, last_label_id: int,
    settings: Mapping[str, Any],
) -> Probe:  # fmt: skip
    """Write weights, labels and description; return the probe's row for the database.

    Args:
        folder: Of all probes.
        probe_id: Names its own folder.
        fingerprint: Of the encoder whose vectors it reads.
        found: Weights and calibration.
        training: The labels that it was fitted on.
        last_label_id: The newest of them.
        settings: What was asked for, kept beside it.
    """
    target = folder / probe_id
    buffer = io.BytesIO()
    np.save(buffer, np.column_stack([found.probe.coef_, found.probe.intercept_]), allow_pickle=False)
    write_atomically(target / "weights.npy", buffer.getvalue())
    write_json(target / "labels.json", {
        "cells": training.cell_ids, "classes": training.classes.tolist(), "weights": training.weights.tolist(),
        "is_exemplar": training.is_exemplar.tolist(),
    })  # fmt: skip
    description = {
        "id": probe_id, "encoder_fingerprint": fingerprint, "last_label_id": last_label_id,
        "num_labels": len(set(training.answers().cell_ids)), "classes": found.probe.classes_.tolist(),
        "settings": dict(settings), "metrics": found.metrics,
    }  # fmt: skip
    write_json(target / "probe.json", description)
    return Probe(**description, made_at=utc_now())


def read(folder: Path, probe_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a kept probe's description and its labelled rows.

    Raises:
        ProbeGone: The files are gone: only the newest probes are kept.
    """
    target = folder / probe_id
    if not (target / "labels.json").exists():
        raise ProbeGone(f"probe {probe_id}: its files are gone; the newest {KEPT_PROBES} are kept.")
    description: dict[str, Any] = json.loads((target / "probe.json").read_text())
    return description, json.loads((target / "labels.json").read_text())


def drop_old(folder: Path, *, keep: str) -> None:
    """Delete all but the newest probes."""
    others = [path for path in folder.iterdir() if path.is_dir() and path.name != keep]
    others.sort(key=lambda path: path.stat().st_mtime)
    for path in others[: -(KEPT_PROBES - 1)]:
        shutil.rmtree(path)
