"""What is known of a long job: a folder that the job writes and everybody may read.

    jobs/<id>/job.json        kind, by whom, when, which process; no file name
              command.json    how to start it again (mode 0600, gone when the job is done)
              progress.json   stage, done, total, rate
              end.json        how it ended; missing where it was killed
              lock            held by the job's process as long as it lives

A job that is started on the command line is seen by the pages this way, and one that was started by a
server outlives it. Whether a job lives is told by its lock, which the kernel takes away from the dead.
"""

import fcntl
import json
import re
import secrets
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from datasets.db import utc_now
from datasets.errors import DatasetError
from datasets.files import write_json
from datasets.told import Told, told

FOLDER = "jobs"
MOST_KEPT = 100
_START_SECONDS = 600.0
"""A process that a page has started has this long to take its lock."""
own_folders: set[Path] = set()
"""Of the jobs of this very process: a process does not see its own lock as one."""
_ID = re.compile(r"[0-9]{8}T[0-9]{12}-[a-z]+-[0-9a-f]{6}")

State = Literal["starting", "running", "stopping", "done", "stopped", "failed", "dead"]
"""dead: the process is gone without a word: killed, out of memory, or a power cut."""


class JobError(DatasetError):
    """A job that cannot be started, stopped or found."""


@dataclass(kw_only=True, slots=True)
class Job:
    """One job as its folder tells it."""

    id: str
    folder: Path
    kind: str
    by: str
    at: datetime
    host: str
    pid: int | None
    state: State
    stage: str = ""
    done: int = 0
    total: int = 0
    per_second: float = 0.0
    note: str = ""
    sentence: str = ""
    """How it ended, or what went wrong; made by `told` where the program knew beforehand what it would say."""
    ended_at: datetime | None = None
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether a process works on it."""
        return self.state in ("starting", "running", "stopping")

    @property
    def seconds_left(self) -> float | None:
        """Return how long the present stage will take at its rate so far, None where that is unknown."""
        return (self.total - self.done) / self.per_second if self.is_alive and self.per_second > 0 else None

    @property
    def command(self) -> list[str] | None:
        """Return the words after `cytojepa` that start it again; None where there is nothing left to do."""
        found = read_row(self.folder / "command.json")
        return list(found["words"]) if found else None

    @property
    def working_folder(self) -> str | None:
        """Return where those words were said."""
        return read_row(self.folder / "command.json").get("folder")


def new_job(home: Path, kind: str, *, by: str, words: Sequence[str], pid: int | None, folder: str | None = None) -> str:
    """Make a job's folder and return its id.

    Args:
        home: The workspace.
        kind: What it does, one lower-case word.
        by: Who started it.
        words: What to say after `cytojepa` to start it again; empty: it cannot be.
        pid: The process, None where it is yet to be started.
        folder: Where those words are said.
    """
    job_id = f"{utc_now():%Y%m%dT%H%M%S%f}-{kind}-{secrets.token_hex(3)}"
    place = home / FOLDER / job_id
    place.mkdir(parents=True)
    place.chmod(0o700)
    write_json(place / "job.json", {"kind": kind, "by": by, "at": utc_now().isoformat(), "pid": pid,
                                    "host": socket.gethostname(), "facts": {}})  # fmt: skip
    if words:
        write_json(place / "command.json", {"words": list(words), "folder": folder}, mode=0o600)
    _forget_oldest(home)
    return job_id


def jobs(home: Path) -> list[Job]:
    """Return all jobs that are still known, newest first."""
    names = sorted((path.name for path in (home / FOLDER).glob("*") if _ID.fullmatch(path.name)), reverse=True)
    return [job for name in names if (job := _job(home, name)) is not None]


def job_of(home: Path, job_id: str) -> Job:
    """Return one job.

    Raises:
        JobError: There is none of that id.
    """
    job = _job(home, job_id) if _ID.fullmatch(job_id) else None
    if job is None:
        raise JobError(told("There is no such job any more."))
    return job


def write_end(folder: Path, state: State, sentence: str) -> None:
    """Note how a job ended; what is written first stays."""
    if not (folder / "end.json").exists():
        row: dict[str, Any] = {"state": state, "at": utc_now().isoformat(), "sentence": sentence}
        # The page says it in the reader's language, whoever that will be.
        more = {"pattern": sentence.pattern, "values": sentence.values} if isinstance(sentence, Told) else {}
        write_json(folder / "end.json", row | more)
    if state == "done":
        (folder / "command.json").unlink(missing_ok=True)


def _sentence(end: dict[str, Any]) -> str:
    return told(end["pattern"], **end["values"]) if "pattern" in end else str(end.get("sentence", ""))


def _job(home: Path, job_id: str) -> Job | None:
    folder = home / FOLDER / job_id
    made, end, row = (read_row(folder / f"{name}.json") for name in ("job", "end", "progress"))
    if not made:
        return None
    at = datetime.fromisoformat(made["at"])
    return Job(
        id=job_id, folder=folder, kind=made["kind"], by=made["by"], at=at, host=made["host"], pid=made["pid"],
        state=end["state"] if end else _state(folder, at), stage=row.get("stage", ""), done=row.get("done", 0),
        total=row.get("total", 0), per_second=row.get("rate", 0.0), note=row.get("note", ""),
        sentence=_sentence(end), ended_at=datetime.fromisoformat(end["at"]) if end else None,
        facts=made.get("facts", {}),
    )  # fmt: skip


def _state(folder: Path, at: datetime) -> State:
    if folder in own_folders or _is_locked(folder / "lock"):
        return "stopping" if (folder / "stop").exists() else "running"
    if not (folder / "lock").exists() and (utc_now() - at).total_seconds() < _START_SECONDS:
        return "starting"
    return "dead"


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def read_row(path: Path) -> dict[str, Any]:
    """Read one of a job's small files; nothing where it is missing or torn."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _forget_oldest(home: Path) -> None:
    known = jobs(home)
    refits = [job for job in known if job.kind == "refit" and not job.is_alive]
    for job in [*[job for job in known if not job.is_alive][MOST_KEPT:], *refits[3:]]:
        shutil.rmtree(job.folder, ignore_errors=True)
