"""Everything that people decide becomes an event, in the transaction that stores it."""

import json

import pytest
from sqlalchemy import select

from labeling import accounts, audit
from labeling.errors import AccountError
from labeling.imports.store import ImportedLabel, store_labels
from labeling.labels import LabelEvent, record
from labeling.records import Event, Label


def _events(services) -> list[dict]:
    with services.database.read() as session:
        return [json.loads(body) for body in session.scalars(select(Event.body).order_by(Event.seq))]


def test_events__labels_undos_and_imports_in_their_order(labelled, cells) -> None:
    store_labels(labelled.database, [ImportedLabel(cell_id=cells[0], category="SCC")])
    found = _events(labelled)

    assert [event["kind"] for event in found] == ([*["labels"] * 10, "undos"] * 2) + ["labels"]
    assert [event["row"]["id"] for event in found[:10]] == list(range(1, 11))
    assert (found[-1]["by"], found[-1]["row"]["annotator"], found[-1]["row"]["category"]) == (
        "import",
        "imported",
        "SCC",
    )


def test_events__a_resent_label_is_told_once(labelled, cells) -> None:
    before = audit.chain_head(labelled.database)
    event = LabelEvent(key="ada-1", cell_id=cells[1], category="HSIL")
    assert record(labelled.database, "ada", [event], label_set=labelled.label_set)[0].accepted

    assert audit.chain_head(labelled.database) == before


def test_events__what_is_rolled_back_is_neither_told_nor_anchored(labelled, cells) -> None:
    before = (audit.chain_head(labelled.database), audit.anchors_path(labelled.home).read_text())

    def fail() -> None:
        with labelled.database.write() as session:
            stored = session.scalars(select(Label)).first()
            session.add(Label(key="y", cell_id=cells[5], annotator="ada", category="HSIL", made_at=stored.made_at))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (audit.chain_head(labelled.database), audit.anchors_path(labelled.home).read_text()) == before


def test_events__changes_of_accounts_name_who_made_them(services) -> None:
    accounts.add_account(services.database, "eva", "annotator", "a long password")
    accounts.set_role(services.database, "eva", "auditor", by="boss")
    accounts.disable(services.database, "eva", by="boss")

    assert [(e["kind"], e["by"], e["facts"]) for e in _events(services)] == [
        ("account added", "command line", {"name": "eva", "role": "annotator"}),
        ("role changed", "boss", {"name": "eva", "role": "auditor", "before": "annotator"}),
        ("account disabled", "boss", {"name": "eva"}),
    ]


def test_role__nobody_changes_the_own_one(services) -> None:
    accounts.add_account(services.database, "boss", "admin", "a long password")

    with pytest.raises(AccountError, match="own role"):
        accounts.set_role(services.database, "boss", "adjudicator", by="boss")


def test_anchor__disk_full_costs_no_label(labelled, cells) -> None:
    path = audit.anchors_path(labelled.home)
    path.unlink()
    path.mkdir()
    receipt = record(labelled.database, "ada", [LabelEvent(key="z", cell_id=cells[11], category="HSIL")],
                     label_set=labelled.label_set)[0]  # fmt: skip

    assert receipt.accepted
