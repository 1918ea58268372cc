"""`metrics.jsonl` of a run: one line for each step, each step once, also after kill and resume."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from datasets.files import write_atomically

LOG = logging.getLogger(__name__)
METRICS_FILE = "metrics.jsonl"
PICTURE_FOLDER = "tokens"
"""Of a run, with the pictures of what the encoder sees."""
COLLAPSE = "collapse"
"""How a warning of a collapse begins; other warnings begin otherwise."""

Row = dict[str, Any]


class RunLog:
    """Lines that wait until they are written; a full disk delays them and stops nothing.

    `last` is the file's last line when the run went on, empty for a new run.

    Args:
        path: `metrics.jsonl`.
        first_step: Steps done; lines of later steps, and a torn last line, are dropped from the file.
    """

    def __init__(self, path: Path, *, first_step: int) -> None:
        self._path, self._waiting = path, list[str]()
        self._is_told = False
        self.last: dict[str, Any] = {}
        if path.exists():
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if _step(line) <= first_step]
            if len(kept) < len(lines):
                write_atomically(path, b"".join(kept))
            self.last = json.loads(kept[-1]) if kept else {}

    def add(self, row: Row) -> None:
        """Add one line; `row["step"]` counts from 1."""
        self._waiting.append(json.dumps(row) + "\n")

    def flush(self, *, is_durable: bool = False) -> None:
        """Write the lines that wait.

        Args:
            is_durable: Also wait for the disk, so that a power cut cannot take them.
        """
        if not self._waiting:
            return
        size = self._path.stat().st_size if self._path.exists() else 0
        try:
            with self._path.open("ab") as stream:
                stream.write("".join(self._waiting).encode())
                stream.flush()
                if is_durable:
                    os.fsync(stream.fileno())
        except OSError as error:
            self._tell(error, size)
            return
        self._waiting.clear()
        self._is_told = False

    def _tell(self, error: OSError, size: int) -> None:
        if self._path.exists():
            os.truncate(self._path, size)
        if not self._is_told:
            LOG.warning("metrics.jsonl cannot be written (%s); its lines wait in memory.", error.strerror)
            self._is_told = True


def _step(line: bytes) -> float:
    """Return the step of a line; infinity for a torn one."""
    try:
        return float(json.loads(line)["step"]) if line.endswith(b"\n") else float("inf")
    except (ValueError, KeyError, TypeError):
        return float("inf")


def read_metrics(folder: Path) -> list[Row]:
    """Return the lines of a run's `metrics.jsonl`; a line torn by a power cut is left out."""
    path = folder / METRICS_FILE
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if _step(line) < float("inf")]
