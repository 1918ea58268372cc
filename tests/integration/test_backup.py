"""A study goes into one file while doctors label, and comes back whole or not at all."""

import json
import shutil
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.archive import ArchiveError, write_backup
from app.cli import cytojepa
from app.refit import refit_study
from app.restoring import restore_backup
from app.services import Services
from datasets import catalog
from datasets.embeddings import EmbeddingStore, set_current
from labeling import accounts, audit
from labeling.counting import ProgressCounter
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.records import Label
from labeling.study import ALGORITHM
from labeling.verification import check_chain
from tests.builders import drawn_study


def _run(*arguments: str) -> tuple[int, dict]:
    result = CliRunner().invoke(cytojepa, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("{") else {"error": result.stderr}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    services = drawn_study(folder / "home", folder / "slides", 1)
    services.settings.save(services.home)
    ids = catalog.cell_ids(services.database)
    store = EmbeddingStore(services.embeddings_folder, "f" * 16)
    store.append(ids, np.arange(len(ids) * 4, dtype=np.float32).reshape(len(ids), 4))
    set_current(services.embeddings_folder, store.fingerprint)
    accounts.add_account(services.database, "ada", "annotator", "a long password")
    for name in ("slides/.draft-123", "tiles", "exports"):
        (services.home / name).mkdir()
        (services.home / name / "left-out.bin").write_bytes(b"x")
    services.database.close()
    return services.home


@pytest.fixture
def study(drawn: Path, tmp_path: Path):
    shutil.copytree(drawn, tmp_path / "home")
    services = Services.open(tmp_path / "home")
    yield services
    services.database.close()


class Doctors:
    """Threads that label, and know what was acknowledged to them."""

    def __init__(self, services: Services, count: int) -> None:
        self.services, self.acknowledged = services, set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._label, args=(f"dr{n}",)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def _label(self, name: str) -> None:
        cells, number = catalog.cell_ids(self.services.database), 0
        while not self._stop.is_set():
            key = f"{name}-{number}"
            event = LabelEvent(key=key, cell_id=cells[number % len(cells)], category=("NILM", "HSIL")[number % 2])
            events = [event, UndoEvent(key=f"{key}-undo", label_key=key)] if number % 7 == 0 else [event]
            receipts = record(self.services.database, name, events, label_set=self.services.label_set)
            assert all(receipt.accepted for receipt in receipts)
            self.acknowledged.add(key)
            number += 1

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def backups_under_load(study: Services, folder: Path, count: int) -> int:
    """Back up and restore while doctors answer; return how many came back whole, with all that was acknowledged."""
    doctors, whole = Doctors(study, 4), 0
    try:
        for number in range(count):
            before = set(doctors.acknowledged)
            report = write_backup(study, folder / f"{number}.zip")
            found = restore_backup(folder / f"{number}.zip", folder / f"restored-{number}")
            restored = Services.open(folder / f"restored-{number}")
            with restored.database.read() as session:
                keys = set(session.scalars(select(Label.key)))
            restored.database.close()
            assert (report.ok, found.ok, found.events, found.head) == (True, True, report.events, report.head)
            assert before <= keys
            whole += 1
    finally:
        doctors.stop()
    return whole


def test_backup__three_under_load_restore_whole(study: Services, tmp_path: Path) -> None:
    assert backups_under_load(study, tmp_path, 3) == 3
    assert check_chain(study.database).problems == ()


@pytest.mark.slow
def test_backup__twelve_under_load_restore_whole(study: Services, tmp_path: Path) -> None:
    assert backups_under_load(study, tmp_path, 12) == 12


def test_verbs__round_trip_keeps_everything_but_sign_ins(study: Services, tmp_path: Path) -> None:
    cells = catalog.cell_ids(study.database)
    record(study.database, "ada", [LabelEvent(key="k", cell_id=cells[0], category="HSIL", seconds=1.5)],
           label_set=study.label_set)  # fmt: skip
    token = accounts.open_sign_in(study.database, "ada")
    out, home = tmp_path / "study.zip", tmp_path / "new"
    code, made = _run("backup", str(out), "--home", str(study.home))
    assert (code, made["ok"], made["problems"], out.stat().st_mode & 0o777) == (0, True, [], 0o600)
    code, restored = _run("restore", str(out), "--home", str(home))
    assert (code, restored["ok"], restored["events"], restored["head"]) == (0, True, made["events"], made["head"])
    code, verified = _run("verify", "--home", str(home))
    sound = {"ok": True, "events": made["events"], "head": made["head"], "problems": [], "notes": []}
    assert (code, verified) == (0, sound)

    new = Services.open(home)
    assert new.settings == study.settings
    assert new.secret_key == study.secret_key
    assert ProgressCounter(new.database).of("ada") == ProgressCounter(study.database).of("ada")
    assert np.array_equal(new.store().vectors(), study.store().vectors())
    assert all(catalog.crop_path(home, i).read_bytes() == catalog.crop_path(study.home, i).read_bytes() for i in cells)
    assert accounts.check_sign_in(study.database, token) is not None
    assert accounts.check_sign_in(new.database, token) is None
    assert not list(home.rglob("left-out.bin"))
    new.database.close()


def test_restore__a_study_whose_probe_an_older_program_fitted_is_whole(study: Services, tmp_path: Path) -> None:
    events = [LabelEvent(key=f"k{place}", cell_id=cell, category=("NILM", "HSIL")[place % 2])
              for place, cell in enumerate(catalog.cell_ids(study.database)[:8])]  # fmt: skip
    record(study.database, "ada", events, label_set=study.label_set)
    described = study.probes_folder / refit_study(study).probe_id / "probe.json"
    described.write_text(described.read_text().replace(ALGORITHM, "an older one"))
    out, home = tmp_path / "study.zip", tmp_path / "new"
    write_backup(study, out)
    found = restore_backup(out, home)

    assert (found.ok, found.problems) == (True, ())
    assert "made by another version of the program (an older one)" in found.notes[0]
    assert _run("verify", "--home", str(home))[0] == 0


def test_backup__never_replaces_a_file(study: Services, tmp_path: Path) -> None:
    (tmp_path / "study.zip").write_bytes(b"precious")

    assert _run("backup", str(tmp_path / "study.zip"), "--home", str(study.home))[0] == 1
    assert (tmp_path / "study.zip").read_bytes() == b"precious"


def test_restore__refuses_a_home_that_is_not_empty(study: Services, tmp_path: Path) -> None:
    write_backup(study, tmp_path / "study.zip")
    code, result = _run("restore", str(tmp_path / "study.zip"), "--home", str(study.home))

    assert (code, "not empty" in result["error"]) == (1, True)


def test_restore__without_key_needs_the_right_one(study: Services, tmp_path: Path) -> None:
    write_backup(study, tmp_path / "study.zip", with_key=False)
    wrong = tmp_path / "wrong.key"
    wrong.write_bytes(b"k" * 32)

    assert study.secret_key not in (tmp_path / "study.zip").read_bytes()
    for key in (None, wrong):
        with pytest.raises(ArchiveError, match="secret key"):
            restore_backup(tmp_path / "study.zip", tmp_path / "new", key=key)
    assert restore_backup(tmp_path / "study.zip", tmp_path / "new", key=study.home / "secret.key").ok
    assert (tmp_path / "new" / "secret.key").stat().st_mode & 0o777 == 0o600


def _rewritten(archive: Path, out: Path, change) -> Path:
    """Copy an archive; `change` gets the manifest and the files and may alter both."""
    with zipfile.ZipFile(archive) as source:
        files = {name: source.read(name) for name in source.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    change(manifest, files)
    with zipfile.ZipFile(out, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
        target.writestr("manifest.json", json.dumps(manifest))
    return out


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "crops/../../outside", "crops\\..\\outside", "outside",
                                  "crops/.hidden", "catalog.sqlite/x"])  # fmt: skip
def test_restore__names_outside_a_study_are_refused(study: Services, tmp_path: Path, name: str) -> None:
    write_backup(study, tmp_path / "study.zip")

    def add(manifest: dict, files: dict) -> None:
        files[name] = b""
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        manifest["files"].append({"path": name, "bytes": 0, "sha256": empty})

    before = sorted(tmp_path.iterdir())
    evil = _rewritten(tmp_path / "study.zip", tmp_path / "evil.zip", add)
    with pytest.raises(ArchiveError):
        restore_backup(evil, tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == sorted([*before, evil])


@pytest.mark.parametrize("damage", ["flip", "cut", "bomb", "unlisted", "newer", "text"])
def test_restore__damaged_archives_leave_nothing(study: Services, tmp_path: Path, damage: str) -> None:
    write_backup(study, tmp_path / "study.zip")
    whole, broken = tmp_path / "study.zip", tmp_path / "broken.zip"
    content = whole.read_bytes()

    def change(manifest: dict, files: dict) -> None:
        crop = next(name for name in files if name.startswith("crops/"))
        if damage == "flip":
            files[crop] = files[crop][:-1] + bytes([files[crop][-1] ^ 1])
        elif damage == "bomb":
            files[crop] = files[crop] + b"\0" * 10_000_000
        elif damage == "unlisted":
            files["crops/aa/stranger.png"] = b"x"
        else:
            manifest["schema"] = 99

    if damage == "cut":
        broken.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        broken.write_text("not a backup")
    else:
        _rewritten(whole, broken, change)
    with pytest.raises(ArchiveError):
        restore_backup(broken, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.zip", "home", "study.zip"]


def test_restore__a_tampered_study_is_not_restored(study: Services, tmp_path: Path) -> None:
    cells = catalog.cell_ids(study.database)
    record(study.database, "ada", [LabelEvent(key="k", cell_id=cells[0], category="HSIL")], label_set=study.label_set)
    with study.database.write() as session:
        connection = session.connection()
        connection.exec_driver_sql("DROP TRIGGER labels_no_update")
        connection.exec_driver_sql("UPDATE labels SET category = 'NILM' WHERE key = 'k'")
    code, made = _run("backup", str(tmp_path / "study.zip"), "--home", str(study.home))
    seq = audit.chain_head(study.database).seq
    assert (code, made["ok"]) == (1, False)
    assert made["problems"][0].startswith(f"event {seq}: row")
    code, restored = _run("restore", str(tmp_path / "study.zip"), "--home", str(tmp_path / "new"))

    assert (code, restored["ok"], (tmp_path / "new").exists()) == (1, False, False)


def test_verify__damaged_vectors_and_lost_pictures_are_named(study: Services) -> None:
    shard = next(study.embeddings_folder.glob("*/shard-*.npy"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(bytes(content))
    cell_id = catalog.cell_ids(study.database)[0]
    catalog.crop_path(study.home, cell_id).unlink()
    code, found = _run("verify", "--home", str(study.home))

    assert (code, found["ok"], len(found["problems"])) == (1, False, 2)
    assert found["problems"][0].startswith("embeddings/ffffffffffffffff/shard-00000: its numbers")
    assert found["problems"][1].startswith(f"cell {cell_id}: its picture is missing")


def test_verify__a_folder_without_a_study(tmp_path: Path) -> None:
    code, found = _run("verify", "--home", str(tmp_path / "nothing"))

    assert (code, found["ok"], (tmp_path / "nothing").exists()) == (1, False, False)
