"""TensorBoard event files of a run, beside `metrics.jsonl`, for people who watch runs there. Knows no model."""

import math
import os
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

EVENTS_FOLDER = "tensorboard"


class EventFiles:
    """The open event file of a run; TensorBoard forgets the steps that a resumed run repeats.

    Args:
        folder: The run's folder.
        first_step: Steps done.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        # The writer names files by the second alone: a quick restart would replace the file before.
        suffix = f".{first_step:07d}.{os.getpid()}"
        self._writer = SummaryWriter(str(folder / EVENTS_FOLDER), purge_step=first_step + 1, filename_suffix=suffix)

    def add(self, row: dict[str, Any]) -> None:
        """Add one line of the log: numbers become points of curves, words become text."""
        for name, value in row.items():
            if isinstance(value, str):
                self._writer.add_text(name, value, row["step"])
            elif name != "step" and value is not None and math.isfinite(value):
                self._writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Write what is buffered and close the file."""
        self._writer.close()
