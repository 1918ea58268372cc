"""A backup becomes a study again: every byte is checked before anything appears in its place.

The archive is a file from outside: its names are held against what a study consists of, its sizes
against what its manifest says, and nothing is ever written outside the new folder.
"""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import URL, update

from app.archive import DATABASE, FOLDERS, FORMAT, KEY, MANIFEST, ArchiveError, ProgressCallback, key_check
from app.inspection import Findings, inspect_study
from app.services import Services
from app.settings import BUILT_IN, SETTINGS_FILE, Settings, database_url, name_database
from datasets.db import SCHEMA_VERSION, Database, utc_now
from datasets.files import sync_folder, write_atomically
from labeling import audit, migrations
from labeling.records import SignIn
from labeling.verification import check_chain

_SINGLE_FILES = frozenset({DATABASE, KEY, SETTINGS_FILE, audit.ANCHORS_FILE})
_MOST_MANIFEST_BYTES = 1 << 28
_CHUNK = 1 << 20


def restore_backup(
    archive: Path, home: Path, *, key: Path | None = None, database: str = BUILT_IN,
    on_progress: ProgressCallback = lambda done, total: None,
) -> Findings:  # fmt: skip
    """Unpack a backup into an empty home; nothing appears there unless every check has passed.

    All sign-ins end: who was signed in when the backup was made signs in again.

    Args:
        archive: From `archive.write_backup`.
        home: A folder that does not exist or is empty.
        key: The study's secret key, for a backup that was made without it.
        database: Where the rows go: "sqlite", or the address of an empty PostgreSQL database; the
            environment comes first, as always. The backup's own setting is never used.
        on_progress: Called with (files done, files in all).

    Returns:
        What a look at the restored study found; where that is not ok, nothing was restored.

    Raises:
        ArchiveError: Not a whole backup, made by a newer program, a wrong key, or the home is not empty.
        DatabaseError: The PostgreSQL database cannot be reached, or holds a study already.
    """
    url = database_url(Settings(database=database).database)
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ArchiveError(f"{home}: is not empty. Restore into a new folder; nothing is ever overwritten.")
    home.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{home.name}-restoring-", dir=home.parent))
    try:
        with zipfile.ZipFile(archive) as source:
            manifest = _read_manifest(source)
            _unpack(source, manifest, draft, on_progress)
        _bring_key(draft, manifest, key)
        findings = _check(draft, manifest)
        if findings.ok:
            name_database(draft, database)
            findings = findings if url is None else _move_rows(draft, url)
        if findings.ok:
            if home.exists():
                home.rmdir()
            draft.rename(home)
            sync_folder(home.parent)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{archive}: not a whole backup ({error}).") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return findings


def _read_manifest(source: zipfile.ZipFile) -> dict[str, Any]:
    names = source.namelist()
    if names.count(MANIFEST) != 1:
        raise ArchiveError("not a backup: it has no manifest. Was the file cut, or is it something else?")
    if source.getinfo(MANIFEST).file_size > _MOST_MANIFEST_BYTES:
        raise ArchiveError(f"not a backup: its manifest is larger than {_MOST_MANIFEST_BYTES} bytes.")
    try:
        manifest: dict[str, Any] = json.loads(source.read(MANIFEST))
        told, schema = manifest["format"], manifest["schema"]
        listed = [row["path"] for row in manifest["files"] if row["bytes"] >= 0 and len(row["sha256"]) == 64]
        is_complete = {"events", "head", "key_check", "with_key", "left_out"} <= manifest.keys()
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError("not a backup: its manifest is not readable.") from error
    if told != FORMAT or not is_complete or schema > SCHEMA_VERSION:
        raise ArchiveError(
            f"a backup of format {told}, schema {schema}: this program reads {FORMAT} up to schema {SCHEMA_VERSION}. "
            "Use the program version that made it, or a newer one."
        )
    if sorted(names) != sorted([*listed, MANIFEST]) or DATABASE not in listed:
        raise ArchiveError("the backup holds other files than its manifest names: it was changed or cut.")
    return manifest


def _unpack(source: zipfile.ZipFile, manifest: dict[str, Any], folder: Path, on_progress: ProgressCallback) -> None:
    files = manifest["files"]
    needed, free = sum(row["bytes"] for row in files), shutil.disk_usage(folder).free
    if needed > free:
        raise ArchiveError(f"the study needs {needed} bytes, the disk has {free} free. Make room first.")
    made = set()
    for number, row in enumerate(files, start=1):
        target = folder / _safe_name(row["path"])
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        _unpack_one(source, row, target)
        on_progress(number, len(files))
    for parent in made:
        sync_folder(parent)


def _safe_name(name: str) -> PurePosixPath:
    """Return a name that lies inside a study, whatever the archive says.

    Raises:
        ArchiveError: A name that no backup of this program has.
    """
    path = PurePosixPath(name)
    is_plain = name == path.as_posix() and "\\" not in name and "\0" not in name and not path.is_absolute()
    is_known = name in _SINGLE_FILES or (len(path.parts) > 1 and path.parts[0] in FOLDERS)
    if not is_plain or not is_known or any(part.startswith(".") for part in path.parts):
        raise ArchiveError(f"the backup names {name!r}, which is no file of a study: it was not made by this program.")
    return path


def _unpack_one(source: zipfile.ZipFile, row: dict[str, Any], target: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with source.open(row["path"]) as member, target.open("xb") as sink:
        if row["path"] == KEY:
            target.chmod(0o600)
        while chunk := member.read(min(_CHUNK, row["bytes"] - size + 1)):
            size += len(chunk)
            if size > row["bytes"]:
                break
            digest.update(chunk)
            sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())
    if size != row["bytes"] or digest.hexdigest() != row["sha256"]:
        raise ArchiveError(f"{row['path']}: its bytes do not fit their hash. The backup is damaged; use another one.")


def _bring_key(folder: Path, manifest: dict[str, Any], key: Path | None) -> None:
    if not manifest["with_key"]:
        if key is None:
            raise ArchiveError("this backup was made without the secret key: name its file with --key.")
        write_atomically(folder / KEY, key.read_bytes(), mode=0o600)
    stored = folder / KEY
    if not stored.exists() or key_check(stored.read_bytes()) != manifest["key_check"]:
        raise ArchiveError("the secret key is not the one of this study: codes of new files would not match.")


def _check(folder: Path, manifest: dict[str, Any]) -> Findings:
    """Open the unpacked study, end its sign-ins and look at all of it."""
    services = Services.open(folder, is_built_in=True)
    try:
        with services.database.write() as session:
            session.execute(update(SignIn).where(SignIn.ended_at.is_(None)).values(ended_at=utc_now()))
        findings = inspect_study(services)
    finally:
        services.database.close()
    problems = list(findings.problems)
    # An upgrade of what was ever backed up adds no event, so this holds for archives of older versions too.
    if (findings.events, findings.head) != (manifest["events"], manifest["head"]):
        problems.append(f"the chain ends at {findings.events}, the backup was made at {manifest['events']}.")
    return replace(findings, ok=not problems, problems=tuple(problems))


def _move_rows(folder: Path, url: URL) -> Findings:
    """Put the rows of an unpacked study into an empty PostgreSQL database, all or none, and look at them there."""
    built_in = Database(folder / DATABASE)
    server = Database(url, migrations.upgrade, folder=folder)
    try:
        server.fill_from(built_in)
        chain = check_chain(server)
        problems = (*chain.problems, *server.integrity_problems())
    finally:
        built_in.close()
        server.close()
    for path in folder.glob(f"{Path(DATABASE).stem}.*"):
        path.unlink()
    return Findings(ok=not problems, events=chain.events, head=chain.head, problems=problems)
