"""Work beside the pages: the child process that refits the probe, watched and restarted."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

from app.settings import environment_with_home

LOG = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0


class RefitWatcher:
    """Keeps `cytojepa fit --watch` running; a crash of it never reaches the pages.

    Args:
        home: The workspace.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._is_stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="refit-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the child and wait for it."""
        self._is_stopping.set()
        if self._child is not None:
            self._child.terminate()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._is_stopping.is_set():
            # One BLAS thread: two are slower by far on a busy machine, and the pages need a core.
            environment = environment_with_home(
                self._home, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1"
            )
            self._child = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "fit", "--watch"],
                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            if self._is_stopping.is_set():
                self._child.terminate()
            code = self._child.wait()
            if not self._is_stopping.is_set():
                LOG.warning("refit process ended with code %s; next start in %.0f s", code, pause)
                self._is_stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def start_refit_watcher(home: Path) -> RefitWatcher:
    """Start the watcher; call `.stop()` on the result at the end."""
    return RefitWatcher(home)
