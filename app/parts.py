"""What the program is made of: its libraries, their licences, and what is known to be wrong with them.

Never connects: the list of known vulnerabilities is a file that somebody brings along, an export of OSV
(`https://osv.dev`, `PyPI/all.zip`), whose age is told with every answer.
"""

import json
import re
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from datasets.errors import DatasetError

_MOST_FILE_BYTES = 4 << 20
_MOST_FILES = 500_000
# A weak copyleft (LGPL, MPL) binds changes of the library itself, not the program that uses it.
_COPYLEFT = re.compile(r"^A?GPL|GNU (Affero )?General Public License", re.IGNORECASE)
_TOKEN = re.compile(r"\(|\)|\bAND\b|\bOR\b|(?:(?!\bAND\b|\bOR\b)[^()])+")


class PartsError(DatasetError):
    """A file about the parts that cannot be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One installed library."""

    name: str
    version: str
    licence: str

    @property
    def is_copyleft(self) -> bool:
        """Whether its licence would bind the whole program; of alternatives, the freest counts."""
        if _COPYLEFT.search(self.licence) and " OR " not in self.licence and " AND " not in self.licence:
            return True
        return _binds(_TOKEN.findall(self.licence))


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A known vulnerability of an installed library."""

    part: Part
    id: str
    summary: str
    fixed: tuple[str, ...]
    """Versions that have it no more."""
    accepted: str
    """Why it does not matter here, until when; empty where nobody has said so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a list of known vulnerabilities says of the installed libraries."""

    findings: tuple[Finding, ...]
    newest: datetime
    """The newest entry of the list: what became known later is missing."""
    entries: int

    def age_days(self, now: datetime) -> int:
        """Return how old the list is."""
        return (now - self.newest).days


def parts_of(root: str = "cytojepa") -> list[Part]:
    """Return the installed libraries that a distribution needs, directly or not, by name.

    Raises:
        PartsError: It is not installed.
    """
    found: dict[str, Part] = {}
    waiting = [root]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            if name == root:
                raise PartsError(f"{root} is not installed. Run `make install`.") from None
            continue  # of another platform, or an extra that nobody has asked for
        found[name] = Part(name=name, version=dist.version, licence=_licence(dist))
        needs = map(Requirement, dist.requires or ())
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    del found[canonicalize_name(root)]
    return sorted(found.values(), key=lambda part: part.name)


def known_vulnerabilities(parts: Iterable[Part], export: Path, accepted: Path | None, *, today: date) -> Answer:
    """Hold the libraries against an export of OSV.

    Args:
        parts: The libraries.
        export: `all.zip` of the ecosystem PyPI, or a folder with its JSON files.
        accepted: TOML with `[ID] until = 2027-01-31, reason = "..."`; what is past its day counts again.
        today: Until when `accepted` has to reach.

    Raises:
        PartsError: A file cannot be read, or holds nothing of the kind.
    """
    by_name = {part.name: part for part in parts}
    reasons = _accepted(accepted, today)
    findings, newest, entries = [], datetime.min.replace(tzinfo=UTC), 0
    for entry in _entries(export):
        entries += 1
        newest = max(newest, _moment(entry.get("modified")))
        if entry.get("withdrawn"):
            continue
        for affected in entry.get("affected", ()):
            part = by_name.get(canonicalize_name(str(affected.get("package", {}).get("name", ""))))
            if part is not None and _is_affected(part.version, affected):
                names = [entry["id"], *entry.get("aliases", ())]
                findings.append(Finding(
                    part=part, id=entry["id"], summary=str(entry.get("summary", ""))[:200], fixed=_fixed(affected),
                    accepted=next((reasons[name] for name in names if name in reasons), ""),
                ))  # fmt: skip
    if not entries:
        raise PartsError(f"{export.name}: holds no entry. Bring PyPI/all.zip of osv.dev.")
    order = sorted(findings, key=lambda finding: (finding.part.name, finding.id))
    return Answer(findings=tuple(order), newest=newest, entries=entries)


def _binds(words: list[str]) -> bool:
    """Return whether an SPDX expression leaves no way around the GPL; takes its words off the list."""
    alternatives: list[bool] = []
    parts: list[bool] = []
    while words:
        word = words.pop(0).strip()
        if word == ")":
            break
        if word == "OR":
            alternatives.append(any(parts))
            parts = []
        elif word == "(":
            parts.append(_binds(words))
        elif word not in ("", "AND"):
            parts.append(bool(_COPYLEFT.search(word)))
    return all([*alternatives, any(parts)])


def _licence(dist: Distribution) -> str:
    told = dist.metadata
    expression = "".join((told.get_all("License-Expression") or [])[:1])
    classes = [c.split("::")[-1].strip() for c in told.get_all("Classifier") or () if c.startswith("License ::")]
    classes = [c for c in classes if c != "OSI Approved"]
    first = "".join((told.get_all("License") or [])[:1]).strip().splitlines()[:1]
    return str(expression or " OR ".join(classes) or "".join(first)[:80] or "not told")


def _accepted(path: Path | None, today: date) -> dict[str, str]:
    try:
        table = tomllib.loads(path.read_text()) if path else {}
        return {name: f"{row['reason']} (until {row['until']})" for name, row in table.items() if row["until"] >= today}
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise PartsError(f'{path}: each [ID] needs until = 2027-01-31 and reason = "..." ({error}).') from error


def _entries(export: Path) -> Iterator[dict[str, Any]]:
    try:
        if export.is_dir():
            for path in sorted(export.glob("*.json")):
                yield json.loads(path.read_bytes())
            return
        with zipfile.ZipFile(export) as archive:
            infos = archive.infolist()
            if len(infos) > _MOST_FILES or any(info.file_size > _MOST_FILE_BYTES for info in infos):
                raise PartsError(f"{export.name}: more or larger files than an export of OSV has.")
            for info in infos:
                if info.filename.endswith(".json"):
                    yield json.loads(archive.read(info))
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise PartsError(f"{export.name}: not an export of OSV ({error}).") from error


def _is_affected(version: str, affected: dict[str, Any]) -> bool:
    if version in affected.get("versions", ()):
        return True
    return any(
        _is_inside(Version(version), found["events"])
        for found in affected.get("ranges", ())
        if found.get("type") == "ECOSYSTEM"
    )


def _is_inside(version: Version, events: list[dict[str, str]]) -> bool:
    """Walk the events of a range in their order: introduced opens, fixed and last_affected close."""
    is_inside = False
    try:
        for event in events:
            for kind, text in event.items():
                at = Version("0.dev0" if text == "0" else text)
                if kind == "introduced" and version >= at:
                    is_inside = True
                elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
                    is_inside = False
    except InvalidVersion:
        return True  # better one look too many
    return is_inside


def _fixed(affected: dict[str, Any]) -> tuple[str, ...]:
    events = [event for found in affected.get("ranges", ()) for event in found.get("events", ())]
    return tuple(
        event["fixed"] for event in events if "fixed" in event and not re.fullmatch("[0-9a-f]{40}", event["fixed"])
    )


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
