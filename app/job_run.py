"""Being a long job: its folder is told how far it is, and how it ended."""

import fcntl
import json
import os
import re
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from app.job_files import FOLDER, JobError, new_job, own_folders, read_row, write_end
from datasets.errors import DatasetError
from datasets.files import write_json
from datasets.told import sentence_of, told
from jepa.errors import JepaError
from labeling.errors import LabelingError

_TOLD_EVERY_SECONDS = 0.5


class Stopped(KeyboardInterrupt):
    """Somebody wants this job to end; what it has done so far stays."""


class RunningJob:
    """The job of this process: tells its folder how far it is.

    Args:
        folder: The job's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sentence = ""
        """How it went, for the page; the first line of what the verb prints."""
        self.is_stopped = False
        """True where the work ended early because it was asked to."""
        self._stage, self._stage_began, self._first, self._told = "", 0.0, 0, float("-inf")
        self._row: dict[str, Any] = {}

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Tell how far it is; cheap enough to be called for every step.

        Raises:
            Stopped: Somebody wants it to end.
        """
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_began, self._first = stage, now, done
        if now - self._told < _TOLD_EVERY_SECONDS and done < total:
            return
        self._told, seconds = now, now - self._stage_began
        rate = (done - self._first) / seconds if seconds > 0 else 0.0
        self._row = {"stage": stage, "done": done, "total": total, "rate": round(rate, 4), "note": note}
        self._write()
        if (self.folder / "stop").exists() and signal.getsignal(signal.SIGTERM) is _stop:
            raise Stopped

    def note(self, text: str) -> None:
        """Tell in a few words what it has just done, where there is nothing to count."""
        self._row = {"note": text}
        self._write()

    def fact(self, name: str, value: str) -> None:
        """Add something to what the folder tells of the job."""
        job = read_row(self.folder / "job.json")
        write_json(self.folder / "job.json", job | {"facts": job.get("facts", {}) | {name: value}})

    def _write(self) -> None:
        # No fsync: twice a second it would stand in the way of labels, and after a power cut nobody needs it.
        temporary = self.folder / ".progress"
        try:
            temporary.write_text(json.dumps(self._row))
            temporary.replace(self.folder / "progress.json")
        except OSError:
            self._told = time.monotonic()  # a full disk stops the work where it matters, not here


_current: list[RunningJob] = []


def current() -> RunningJob | None:
    """Return the job that this process is, None where it is none."""
    return _current[-1] if _current else None


@contextmanager
def running(
    home: Path, kind: str, *, words: Sequence[str] = (), given: str | None = None, is_alone: bool = False
) -> Iterator[RunningJob]:
    """Be a job as long as the block lasts.

    Args:
        home: The workspace.
        kind: What it does, one lower-case word.
        words: What starts it again.
        given: Id of a folder that a page has made for it.
        is_alone: Two of this kind would harm each other.

    Raises:
        JobError: Another one of this kind is at work.
    """
    job_id = given or new_job(home, kind, by="command line", words=words, pid=os.getpid(), folder=str(Path.cwd()))
    folder = home / FOLDER / job_id
    job = RunningJob(folder)
    write_json(folder / "job.json", read_row(folder / "job.json") | {"pid": os.getpid()})
    # A lock of lockf belongs to this one process: children of its own do not keep it alive.
    with (folder / "lock").open("wb") as lock, (home / FOLDER / f"{kind}.lock").open("ab") as only:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        before = signal.signal(signal.SIGTERM, _stop)
        _current.append(job)
        own_folders.add(folder)
        try:
            if is_alone:
                _be_the_only(only)
            yield job
        except BaseException as error:
            _note_failure(job, error, words)
            raise
        else:
            write_end(folder, "stopped" if job.is_stopped else "done", job.sentence)
        finally:
            _current.remove(job)
            own_folders.discard(folder)
            signal.signal(signal.SIGTERM, before)


def _stop(_number: int, _frame: object) -> None:
    raise Stopped


def _be_the_only(stream: BinaryIO) -> None:
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise JobError(
            told("another job of this kind is at work on this study. Wait for it, or stop it on the page Jobs.")
        ) from error


def _note_failure(job: RunningJob, error: BaseException, words: Sequence[str]) -> None:
    if isinstance(error, KeyboardInterrupt):
        write_end(job.folder, "stopped", told("Stopped. What it has done so far stays; it can go on."))
        return
    is_said = isinstance(error, (DatasetError, JepaError, LabelingError, OSError))
    if isinstance(error, JobError):
        write_end(job.folder, "failed", sentence_of(error))  # names no file
        return
    text = (error.strerror or "the system refused") if isinstance(error, OSError) else str(error)
    write_end(job.folder, "failed", without_places(text, words) if is_said else _reference(job, error))


def _reference(job: RunningJob, error: BaseException) -> str:
    """Keep where an unexpected error came from, without its text, which may hold anything."""
    (job.folder / "traceback.txt").write_text("".join(traceback.format_tb(error.__traceback__)))
    return f"An error that was not foreseen ({type(error).__name__}); tell reference {job.folder.name[-6:]}."


def without_places(text: str, words: Sequence[str]) -> str:
    """Take file names out of a sentence: they can be names of patients."""
    for word in sorted((w for w in words if "/" in w or Path(w).exists()), key=len, reverse=True):
        text = re.sub(re.escape(word.rstrip("/")) + r"[^:,;'\"\n]*", "what was given", text)
    return re.sub(r"(?<![\w.])(?:/[^\s:,;'\"]+)+", "a file", text)
