"""A study in one file, written while doctors label; `restoring` reads it.

A ZIP with a manifest that names every file with its size and SHA-256, and the head of the chain of
events. What can be made again (tiles, exports, older backups) is left out.
"""

import hashlib
import hmac
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.inspection import Findings
from app.services import Services
from app.settings import SETTINGS_FILE
from datasets.db import SCHEMA_VERSION, Database, utc_now
from datasets.errors import DatasetError
from datasets.files import sync_folder
from labeling import audit
from labeling.verification import check_chain

FORMAT = "cytojepa-backup-1"
MANIFEST = "manifest.json"
DATABASE = "catalog.sqlite"
KEY = "secret.key"
FOLDERS = ("crops", "slides", "embeddings", "probes", "runs", "weights")
"""Folders of a workspace that cannot be made again in minutes, or at all."""
OPTIONAL = ("slides", "runs")
"""Of these, the large ones that a backup may leave out."""
_CHUNK = 1 << 20

ProgressCallback = Callable[[int, int], None]


class ArchiveError(DatasetError):
    """A backup that cannot be written or must not be restored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupReport:
    """What a backup holds."""

    ok: bool
    events: int
    head: str
    files: int
    bytes: int
    """Of the files inside."""
    problems: tuple[str, ...]


def write_backup(
    services: Services, out: Path, *, with_key: bool = True, leave_out: Iterable[str] = (),
    on_progress: ProgressCallback = lambda done, total: None,
) -> BackupReport:  # fmt: skip
    """Write a study into one file, mode 0600, while others go on using it.

    The database is one moment's copy; pictures and vectors are written before the rows that name
    them, so every row of that moment finds its files.

    Args:
        services: The open workspace.
        out: The archive; appears whole or not at all.
        with_key: Also the study's secret key, without which new files get codes that do not match.
        leave_out: Of `OPTIONAL`.
        on_progress: Called with (files done, files in all).

    Returns:
        The report; `problems` says what is wrong with the copy, which was opened and checked.

    Raises:
        ArchiveError: `out` exists.
        OSError: The disk is full or the folder cannot be written.
    """
    if out.exists():
        raise ArchiveError(f"{out}: exists already. A backup never replaces a file; choose another name.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".cytojepa-backup-", dir=out.parent) as scratch:
        folder, draft = Path(scratch) / "study", Path(scratch) / "archive"
        folder.mkdir()
        # The anchors first: each of them belongs to an event that the copy of the database has.
        anchors = audit.anchors_path(services.home)
        if anchors.exists():
            shutil.copyfile(anchors, audit.anchors_path(folder))
        services.database.snapshot(folder / DATABASE)
        findings = _check_copy(folder / DATABASE)
        skipped = set(leave_out)
        names = _study_files(services.home, [name for name in FOLDERS if name not in skipped], with_key=with_key)
        copies = [(folder / name, name) for name in (DATABASE, audit.ANCHORS_FILE) if (folder / name).exists()]
        description = {
            "format": FORMAT, "made_at": utc_now().isoformat(), "program": version("cytojepa"),
            "schema": SCHEMA_VERSION, "events": findings.events, "head": findings.head,
            "key_check": key_check(services.secret_key), "with_key": with_key, "left_out": sorted(skipped),
        }  # fmt: skip
        files = _write_zip(draft, [*copies, *names], description, on_progress)
        draft.chmod(0o600)
        draft.rename(out)
    sync_folder(out.parent)
    return BackupReport(
        ok=findings.ok, events=findings.events, head=findings.head, files=len(files),
        bytes=sum(row["bytes"] for row in files), problems=findings.problems,
    )  # fmt: skip


def key_check(key: bytes) -> str:
    """Return what tells whether a key is the study's, without telling the key."""
    return hmac.new(key, b"cytojepa key check", hashlib.sha256).hexdigest()


def _check_copy(path: Path) -> Findings:
    """Open the copied database and look at its chain; the pictures are elsewhere."""
    database = Database(path)
    try:
        chain = check_chain(database)
        problems = (*chain.problems, *database.integrity_problems())
        return Findings(ok=not problems, events=chain.events, head=chain.head, problems=problems)
    finally:
        database.close()


def _study_files(home: Path, folders: list[str], *, with_key: bool) -> list[tuple[Path, str]]:
    # A vector shard counts once its index is there, and the index is written last: indexes of a first
    # look, everything else of a second one, never name a shard that is not in the archive.
    found = {path for name in folders for path in _walk(home / name)}
    late = {path for name in folders for path in _walk(home / name)}
    paths = {p for p in found if p.suffix == ".json"} | {p for p in late if p.suffix != ".json"}
    single = [home / SETTINGS_FILE, *([home / KEY] if with_key else [])]
    return [(path, path.relative_to(home).as_posix()) for path in [*filter(Path.exists, single), *sorted(paths)]]


def _walk(folder: Path) -> Iterator[Path]:
    """Yield plain files; names with a dot in front are drafts of somebody who is writing now."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in parts):
            yield path


def _write_zip(
    draft: Path, sources: list[tuple[Path, str]], description: dict[str, Any], on_progress: ProgressCallback
) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = []
    with draft.open("wb") as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as target:
            for number, (path, name) in enumerate(sources, start=1):
                try:
                    files.append(_add(target, path, name))
                except FileNotFoundError:
                    # A probe that was replaced, or a checkpoint that was dropped, since the look around.
                    continue
                finally:
                    on_progress(number, len(sources))
            manifest = json.dumps({**description, "files": files}, sort_keys=True)
            target.writestr(MANIFEST, manifest, zipfile.ZIP_DEFLATED)
        stream.flush()
        os.fsync(stream.fileno())
    return files


def _add(target: zipfile.ZipFile, path: Path, name: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source:
        member = zipfile.ZipInfo(name)
        member.compress_type = zipfile.ZIP_DEFLATED if name == DATABASE else zipfile.ZIP_STORED
        with target.open(member, "w", force_zip64=True) as sink:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                sink.write(chunk)
    return {"path": name, "bytes": size, "sha256": digest.hexdigest()}
