"""Any order of claims, answers, crashes and restores: the store does what a model in memory does.

The model knows the rules of the study and nothing of the program: plain dictionaries, no SQL.
"""

import itertools
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select, update

from app.archive import write_backup
from app.restoring import restore_backup
from app.services import Services
from app.settings import BUILT_IN, Settings
from datasets import catalog
from datasets.catalog import Cell, Slide
from datasets.db import utc_now
from datasets.files import write_atomically
from labeling import accounts, leases
from labeling.adjudication import VerdictEvent, decide, standing_verdicts
from labeling.answers import current_labels
from labeling.labels import LabelEvent, UndoEvent, record
from labeling.records import Account, Label, Lease, Undo, Verdict
from labeling.verification import check_chain
from tests.postgresql import PASSWORD, Server
from tests.studies import KINDS

CELLS = [f"CE-{number:02d}" for number in range(8)]
DOCTORS = ("ada", "ben", "eve")
CATEGORIES = ("NILM", "HSIL", "LSIL")
READS, RESTORES = 2, 1  # a restore costs as much as fifty other steps; many studies have one each, in any order
CHAIN_EVERY = 10  # steps: rows are only added, so what breaks the chain is still there at the last look
MEMORY = Path("/dev/shm")  # without flushes of the disk: processes die here, the machine never does
doctors, cells, categories = st.sampled_from(DOCTORS), st.sampled_from(CELLS), st.sampled_from(CATEGORIES)


@dataclass
class Model:
    """What the study should be."""

    labels: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Key, cell, annotator, category in their order."""
    undone: dict[str, str] = field(default_factory=dict)
    """Key of the label to key of the undo."""
    leases: dict[tuple[str, str], bool] = field(default_factory=dict)
    """(cell, annotator) to whether it is still valid."""
    verdicts: list[tuple[str, str, str | None]] = field(default_factory=list)
    disabled: set[str] = field(default_factory=set)
    events: int = 0

    def standing(self) -> dict[tuple[str, str], str]:
        """Return the current category of each (cell, annotator)."""
        return {(cell, who): category for key, cell, who, category in self.labels if key not in self.undone}

    def may_get(self, cell: str, who: str) -> bool:
        standing = self.standing()
        if (cell, who) in standing:
            return False
        readers = {other for place, other in standing if place == cell}
        holders = {other for (place, other), is_valid in self.leases.items() if place == cell and is_valid}
        return len((readers | holders) - {who}) < READS


class StudyMachine(RuleBasedStateMachine):
    """One study, three doctors; the process dies, the clock runs, backups come back."""

    def __init__(self, kind: str, server: Server | None, template: str) -> None:
        super().__init__()
        self._kind, self._server, self._template = kind, server, template
        self._folder = Path(tempfile.mkdtemp(prefix="cytojepa-machine-", dir=MEMORY if MEMORY.is_dir() else None))
        self._numbers = itertools.count()
        self._databases, self._restores, self._steps = list[str](), 0, 0
        self.model = Model()
        home = self._folder / "home-0"
        if kind != BUILT_IN:
            home.mkdir()
            Settings(database=self._new_setting()).save(home)
        self.study = Services.open(home)
        now = utc_now()
        slide = Slide(id="SL-A", kind="cells", mpp=0.25, mpp_source="given", added_at=now)
        rows = [Cell(id=i, slide_id="SL-A", origin="imported", added_at=now) for i in CELLS]
        for cell in CELLS:  # a study is whole only with its pictures
            write_atomically(catalog.crop_path(home, cell), b"picture")
        catalog.add(self.study.database, [slide], rows)
        with self.study.database.write() as session:
            session.add_all(
                Account(name=name, role="adjudicator", password_hash="-", created_at=now, disabled_at=None)
                for name in DOCTORS
            )
        self.tokens = {name: accounts.open_sign_in(self.study.database, name) for name in DOCTORS}

    def _new_setting(self) -> str:
        name = self._server.database(self._template).database
        self._databases.append(name)
        return self._server.setting(name)

    def teardown(self) -> None:
        try:
            self.the_chain_is_whole(is_last=True)
        finally:
            self.study.database.close()
            shutil.rmtree(self._folder)
            for name in self._databases:
                self._server.drop(name)

    def _key(self, word: str) -> str:
        return f"{word}-{next(self._numbers)}"

    def _send(self, who: str, *events: LabelEvent | UndoEvent):
        return record(self.study.database, who, events, label_set=self.study.label_set, reads=READS)

    @rule(who=doctors, limit=st.integers(1, 4))
    def claim(self, who: str, limit: int) -> None:
        model = self.model
        model.leases = {pair: True for pair, is_valid in model.leases.items() if is_valid}
        held = [cell for cell, other in model.leases if other == who]
        free = [cell for cell in CELLS if model.may_get(cell, who) and cell not in held]
        items = leases.take(self.study.database, who, limit, reads=READS, lease_seconds=600)
        got = [item.cell_id for item in items]
        new = free[: max(0, limit - len(held))]
        model.leases.update({(cell, who): True for cell in new})

        assert got == [*sorted(held), *new][:limit]

    @rule(who=doctors, cell=cells, category=categories)
    def submit(self, who: str, cell: str, category: str) -> None:
        key = self._key("label")
        receipt = self._send(who, LabelEvent(key=key, cell_id=cell, category=category))[0]

        assert receipt.accepted, receipt
        self.model.labels.append((key, cell, who, category))
        self.model.leases.pop((cell, who), None)
        self.model.events += 1

    @precondition(lambda self: self.model.labels)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        key, cell, who, category = data.draw(st.sampled_from(self.model.labels))
        same = self._send(who, LabelEvent(key=key, cell_id=cell, category=category))[0]
        other = self._send(who, LabelEvent(key=key, cell_id=cell, category="SCC"))[0]
        stranger = next(name for name in DOCTORS if name != who)

        assert (same.accepted, other.accepted) == (True, False)
        assert not self._send(stranger, LabelEvent(key=key, cell_id=cell, category=category))[0].accepted

    @precondition(lambda self: self.model.labels)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        key, cell, who, _ = data.draw(st.sampled_from(self.model.labels))
        undo_key = self._key("undo")
        assert self._send(who, UndoEvent(key=undo_key, label_key=key))[0].accepted
        if key in self.model.undone:  # the same once more: nothing new
            return
        self.model.undone[key] = undo_key
        self.model.events += 1
        others = sum(valid for (c, other), valid in self.model.leases.items() if c == cell and other != who)
        if others < READS:
            self.model.leases[cell, who] = True

    @rule(who=doctors)
    def time_passes(self, who: str) -> None:
        """All leases of a doctor end by themselves."""
        with self.study.database.write() as session:
            session.execute(update(Lease).where(Lease.annotator == who).values(until=utc_now() - timedelta(seconds=1)))
        self.model.leases = {pair: ok and pair[1] != who for pair, ok in self.model.leases.items()}

    @rule(who=doctors, cell=cells, category=st.none() | categories)
    def adjudicate(self, who: str, cell: str, category: str | None) -> None:
        event = VerdictEvent(key=self._key("verdict"), cell_id=cell, category=category)
        receipts = decide(self.study.database, who, [event, event], label_set=self.study.label_set)

        assert [receipt.accepted for receipt in receipts] == [True, True]
        self.model.verdicts.append((event.key, cell, category))
        self.model.events += 1

    @rule(who=doctors)
    def disable(self, who: str) -> None:
        accounts.disable(self.study.database, who)
        self.model.disabled.add(who)
        self.model.events += 1

    @rule(who=doctors, cell=cells, category=categories, is_stored=st.booleans())
    def crash(self, who: str, cell: str, category: str, is_stored: bool) -> None:
        """A process dies before its commit, or after it and before anybody was told; the browser sends again."""
        key = self._key("label")
        event = LabelEvent(key=key, cell_id=cell, category=category)
        child = os.fork()
        if child == 0:
            self._die(who, event, is_stored)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        with self.study.database.read() as session:
            assert (session.scalar(select(Label.id).where(Label.key == key)) is not None) == is_stored
        assert self._send(who, event)[0].accepted
        self.model.labels.append((key, cell, who, category))
        self.model.leases.pop((cell, who), None)
        self.model.events += 1

    def _die(self, who: str, event: LabelEvent, is_stored: bool) -> None:
        try:
            study = Services.open(self.study.home)
            if is_stored:
                record(study.database, who, [event], label_set=study.label_set, reads=READS)
            else:
                with study.database.write() as session:
                    session.add(Label(key=event.key, cell_id=event.cell_id, annotator=who, category=event.category,
                                      made_at=utc_now()))  # fmt: skip
                    session.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)

    @precondition(lambda self: self._server is not None)
    @rule()
    def connections_are_cut(self) -> None:
        self._server.cut(self._databases[-1])

    @precondition(lambda self: self._restores < RESTORES)
    @rule()
    def restore(self) -> None:
        """The study goes into a file and comes back as a new one; everybody signs in again."""
        self._restores += 1
        archive, home = self._folder / f"{self._key('backup')}.zip", self._folder / self._key("home")
        setting = BUILT_IN if self._kind == BUILT_IN else self._new_setting()

        assert write_backup(self.study, archive).ok
        assert restore_backup(archive, home, database=setting).ok
        self.study.database.close()
        self.study = Services.open(home)
        assert all(accounts.check_sign_in(self.study.database, token) is None for token in self.tokens.values())
        self.tokens = {name: accounts.open_sign_in(self.study.database, name) for name in DOCTORS}

    @invariant()
    def same_as_the_model(self) -> None:
        with self.study.database.read() as session:
            columns = (Label.key, Label.cell_id, Label.annotator, Label.category)
            stored = [tuple(row) for row in session.execute(select(*columns).order_by(Label.id))]
            undone = dict(session.execute(select(Label.key, Undo.key).join(Undo, Undo.label_id == Label.id)).all())
            current = {(c.cell_id, c.annotator): c.category for c in current_labels(session)}
            verdicts = {cell: row.category for cell, row in standing_verdicts(session).items()}
            keys = list(session.scalars(select(Verdict.key).order_by(Verdict.id)))
            now = utc_now()
            valid = {(row.cell_id, row.annotator) for row in session.scalars(select(Lease)) if row.until > now}
        model = self.model
        newest = {cell: category for _, cell, category in model.verdicts}

        assert stored == model.labels
        assert undone == model.undone
        assert current == model.standing()
        assert keys == [key for key, _, _ in model.verdicts]
        assert verdicts == {cell: category for cell, category in newest.items() if category is not None}
        assert valid == {pair for pair, is_valid in model.leases.items() if is_valid}

    @invariant()
    def who_is_disabled_is_out(self) -> None:
        name = DOCTORS[self._steps % len(DOCTORS)]  # nobody comes back by himself: each one in turn is enough
        assert (accounts.check_sign_in(self.study.database, self.tokens[name]) is None) == (name in self.model.disabled)

    @invariant()
    def the_chain_is_whole(self, *, is_last: bool = False) -> None:
        self._steps += 1
        if is_last or self._steps % CHAIN_EVERY == 0:
            report = check_chain(self.study.database)
            assert (report.events, report.problems) == (self.model.events, ())


def _run(kind: str, request: pytest.FixtureRequest, monkeypatch, *, examples: int, steps: int) -> None:
    server, template = None, ""
    if kind != BUILT_IN:
        server, template = request.getfixturevalue("server"), request.getfixturevalue("study_template")
        monkeypatch.setenv("CYTOJEPA_DATABASE_PASSWORD", PASSWORD)
    run_state_machine_as_test(
        lambda: StudyMachine(kind, server, template),
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, print_blob=True, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_any_order__the_store_is_the_model(kind: str, request: pytest.FixtureRequest, monkeypatch) -> None:
    _run(kind, request, monkeypatch, examples=5, steps=25)


@pytest.mark.slow
@pytest.mark.timeout(10800)
@pytest.mark.parametrize("kind", KINDS)
def test_any_order__the_store_is_the_model_for_long(kind: str, request: pytest.FixtureRequest, monkeypatch) -> None:
    _run(kind, request, monkeypatch, examples=300, steps=60)
