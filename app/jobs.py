"""Work beside the pages: child processes that the server starts, watches, stops and starts again."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from app import job_files
from app.job_files import Job, JobError
from app.services import Services
from app.settings import environment_with_home
from datasets.told import told
from labeling import audit

LOG = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_PATIENCE = 10
"""Niceness of long jobs and of refits: doctors come first."""
_FIRST_TO_GO = 500
"""Added to what the kernel counts when memory runs out: it takes the job and not the pages."""


def start_job(services: Services, kind: str, words: Sequence[str], *, by: str) -> str:
    """Start a verb in a process of its own, which outlives this one; return the job's id.

    Args:
        services: The open workspace.
        kind: What the verb calls itself, see `app.commands.long`.
        words: What to say after `cytojepa`.
        by: Who wants it; told in the chain of events.

    Raises:
        JobError: One of this kind is at work already.
    """
    _refuse_second(services, kind)
    return _start(services, kind, words, by=by, what="job started", folder=None)


def _refuse_second(services: Services, kind: str) -> None:
    if any(job.kind == kind and job.is_alive for job in job_files.jobs(services.home)):
        raise JobError(told("another job of this kind is at work on this study. Wait for it, or stop it first."))


def resume_job(services: Services, job_id: str, *, by: str) -> str:
    """Start a job that did not end well again; what it had done is kept. Returns the new job's id.

    Raises:
        JobError: It is at work, it is done, or another one has taken its place.
    """
    job = job_files.job_of(services.home, job_id)
    words = words_to_resume(services.home, job)
    if words is None:
        raise JobError(told("this job cannot go on: it is done, at work, or a newer one has taken its place."))
    _refuse_second(services, job.kind)
    new = _start(services, job.kind, words, by=by, what="job resumed", folder=job.working_folder)
    (job.folder / "command.json").unlink(missing_ok=True)
    return new


def words_to_resume(home: Path, job: Job) -> list[str] | None:
    """Return what makes a job go on, None where nothing does."""
    words = job.command
    if words is None or job.is_alive:
        return None
    run = job.facts.get("run")
    if job.kind != "pretrain" or run is None:
        return words
    # `--resume` goes on with the newest run only; an older one would be confused with it.
    runs = sorted(path.name for path in (home / "runs").glob("run-*") if path.is_dir())
    # Killed before its first checkpoint it has nothing to go on from: the same words begin it anew.
    if not any((home / "runs" / run / "checkpoints").glob("step-*/manifest.json")):
        return words if "--resume" not in words else None
    return ["pretrain", "--resume"] if runs[-1] == run else None


def stop_job(services: Services, job_id: str, *, by: str) -> None:
    """Ask a job to end; asked a second time it is ended at once. What it has done stays.

    Raises:
        JobError: It is not at work, or on another machine.
    """
    job = job_files.job_of(services.home, job_id)
    if not job.is_alive or job.pid is None:
        raise JobError(told("this job is not at work yet, or no longer."))
    wish = job.folder / "stop"
    is_first = not wish.exists()
    wish.touch()
    if job.host == socket.gethostname():
        try:
            os.kill(job.pid, signal.SIGTERM if is_first else signal.SIGKILL)
        except ProcessLookupError as error:
            raise JobError(told("this job has just ended.")) from error
        except PermissionError as error:
            raise JobError(told("this job belongs to another user of the machine; stop it there.")) from error
    elif not is_first:
        raise JobError(told("this job runs on another machine; end it there."))
    _tell(services, "job stopped", by, job.kind, job_id)


def _start(services: Services, kind: str, words: Sequence[str], *, by: str, what: str, folder: str | None) -> str:
    job_id = job_files.new_job(services.home, kind, by=by, words=words, pid=None, folder=folder)
    place = services.home / job_files.FOLDER / job_id
    child = subprocess.Popen(  # noqa: S603  (our own verbs, with words that the pages put together)
        [sys.executable, "-m", "app.cli", *words], start_new_session=True, stdin=subprocess.DEVNULL,
        env=environment_with_home(services.home, CYTOJEPA_JOB=job_id), cwd=folder,
        # What it would print can hold file names; the job's folder tells the rest.
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _step_back(child.pid)
    threading.Thread(target=_wait_for, args=(child, place), name=f"job-{kind}", daemon=True).start()
    _tell(services, what, by, kind, job_id)
    return job_id


def _step_back(pid: int) -> None:
    """Let the pages come first, for the processor and when memory runs out."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, _PATIENCE)
        # Linux shares the processor between sessions first: niceness counts only among the processes of one.
        if os.getsid(pid) != os.getsid(0) and (session := Path(f"/proc/{pid}/autogroup")).exists():
            session.write_text(str(_PATIENCE))
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(_FIRST_TO_GO))
    except OSError as error:
        LOG.info("a process beside the server has the same rank as the pages: %s", error.strerror)


def _wait_for(child: "subprocess.Popen[bytes]", place: Path) -> None:
    if child.wait() != 0 and place.is_dir():
        is_wanted = (place / "stop").exists()
        job_files.write_end(
            place, "stopped" if is_wanted else "dead",
            told("Ended at once, as asked; it can go on.") if is_wanted
            else told("The process is gone without a word (code {code}): killed, or out of memory.",
                      code=child.returncode),
        )  # fmt: skip


def _tell(services: Services, what: str, by: str, kind: str, job_id: str) -> None:
    with services.database.write() as session:
        audit.append(session, kind=what, by=by, facts={"job": job_id, "kind": kind})


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
            _step_back(self._child.pid)
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
