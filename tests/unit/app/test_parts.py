"""Licences and known vulnerabilities of the libraries, from files alone."""

import json
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from app.parts import Part, PartsError, known_vulnerabilities, parts_of

PART = Part(name="some-lib", version="1.5", licence="MIT")
TODAY = date(2026, 11, 24)


def _export(folder: Path, *rows: dict) -> Path:
    path = folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, row in enumerate(rows):
            entry = {"id": f"PYSEC-{number}", "modified": "2026-11-20T10:00:00Z", "summary": "bad", **row}
            archive.writestr(f"{entry['id']}.json", json.dumps(entry))
    return path


def _affects(name: str, *events: dict, **more) -> dict:
    return {"affected": [{"package": {"ecosystem": "PyPI", "name": name},
                          "ranges": [{"type": "ECOSYSTEM", "events": list(events)}], **more}]}  # fmt: skip


@pytest.mark.parametrize(("licence", "binds"), [
    ("GPL-3.0-only", True), ("AGPL-3.0-or-later", True), ("GNU General Public License v3 (GPLv3)", True),
    ("GNU Affero General Public License v3", True), ("MIT AND GPL-2.0-only", True),
    ("MIT AND (GPL-2.0-only OR AGPL-3.0)", True), ("MIT AND (BSD-3-Clause OR GPL-2.0-only) AND Zlib", False),
    ("Apache-2.0 OR GPL-2.0-only", False), ("LGPL-3.0-only", False), ("MPL-2.0", False), ("MIT", False),
    ("GNU Lesser General Public License v3 (LGPLv3)", False), ("not told", False),
])  # fmt: skip
def test_licence__gpl_binds_unless_there_is_a_way_around(licence: str, binds: bool) -> None:
    assert Part(name="x", version="1", licence=licence).is_copyleft == binds


def test_parts__of_this_installation_are_free_of_gpl() -> None:
    found = {part.name: part for part in parts_of()}

    assert {"torch", "streamlit", "authlib", "joserfc", "starlette"} <= found.keys()
    assert not {"pytest", "ruff", "cytojepa"} & found.keys()
    assert [part.name for part in found.values() if part.is_copyleft] == []
    with pytest.raises(PartsError, match="not installed"):
        parts_of("no-such-program")


@pytest.mark.parametrize(("events", "is_known"), [
    ([{"introduced": "0"}, {"fixed": "1.6"}], True), ([{"introduced": "0"}, {"fixed": "1.5"}], False),
    ([{"introduced": "1.6"}], False), ([{"introduced": "0"}, {"last_affected": "1.5"}], True),
    ([{"introduced": "0"}, {"last_affected": "1.4"}], False),
    ([{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "1.4"}, {"fixed": "1.5.1"}], True),
    ([{"introduced": "not a version"}], True),
])  # fmt: skip
def test_ranges__are_walked(tmp_path: Path, events: list, is_known: bool) -> None:
    answer = known_vulnerabilities([PART], _export(tmp_path, _affects("Some_Lib", *events)), None, today=TODAY)

    assert bool(answer.findings) == is_known


def test_list__its_age_withdrawn_entries_and_others(tmp_path: Path) -> None:
    events = ({"introduced": "0"}, {"fixed": "2.0"})
    export = _export(tmp_path, _affects("some-lib", *events), _affects("other-lib", *events),
                     {**_affects("some-lib", *events), "withdrawn": "2026-11-01T00:00:00Z"},
                     {"modified": "2026-10-01T00:00:00Z"},
                     {"affected": [{"package": {"name": "some-lib"}, "versions": ["1.5"]}]})  # fmt: skip
    answer = known_vulnerabilities([PART], export, None, today=TODAY)

    assert [(finding.id, finding.fixed) for finding in answer.findings] == [("PYSEC-0", ("2.0",)), ("PYSEC-4", ())]
    assert (answer.entries, answer.age_days(datetime(2026, 11, 24, 12, tzinfo=UTC))) == (5, 4)


def test_accepted__until_its_day(tmp_path: Path) -> None:
    export = _export(tmp_path, {**_affects("some-lib", {"introduced": "0"}), "aliases": ["CVE-2026-1"]})
    accepted = tmp_path / "accepted.toml"
    accepted.write_text('[CVE-2026-1]\nuntil = 2026-11-24\nreason = "not reached from outside"\n')
    known, later = (
        known_vulnerabilities([PART], export, accepted, today=day).findings[0].accepted
        for day in (TODAY, date(2026, 11, 25))
    )

    assert ("not reached from outside" in known, later) == (True, "")
    accepted.write_text("[CVE-2026-1]\n")
    with pytest.raises(PartsError, match="until"):
        known_vulnerabilities([PART], export, accepted, today=TODAY)


def test_list__that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(PartsError, match="not an export"):
        known_vulnerabilities([PART], tmp_path / "text.zip", None, today=TODAY)
    with pytest.raises(PartsError, match="no entry"):
        known_vulnerabilities([PART], _export(tmp_path), None, today=TODAY)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("PYSEC-1.json", b" " * (64 << 20))
    with pytest.raises(PartsError, match="larger files"):
        known_vulnerabilities([PART], tmp_path / "bomb.zip", None, today=TODAY)
