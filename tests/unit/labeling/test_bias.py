"""Whether suggestions lead is counted from first and final answers, told and untold."""

import pytest
from sqlalchemy import select

from labeling import adjudication, bias
from labeling.adjudication import VerdictEvent
from labeling.bias import Share
from labeling.imports.store import ImportedLabel, store_labels
from labeling.labels import LabelEvent, LateGuess, UndoEvent, record
from labeling.leases import Offer, claim
from labeling.mixture import CHECK_REASON
from labeling.records import Label


def _lease(services, who: str, cell: str, *, suggestion: str | None = "HSIL", reason: str = "unclear") -> None:
    offer = Offer(cell_id=cell, reason=reason, suggestion=suggestion, probability=0.8, probe_id="p1")
    assert claim(services.database, who, [offer], most=1, reads=5, lease_seconds=600) == [cell]


def _answer(services, who: str, cell: str, *categories: str, **mode: object) -> None:
    """Answer a cell; every further category takes the one before it back."""
    for number, category in enumerate(categories):
        events = [UndoEvent(key=f"u{who}{cell}{number}", label_key=f"{who}{cell}{number - 1}")] if number else []
        events.append(LabelEvent(key=f"{who}{cell}{number}", cell_id=cell, category=category))
        for event in events:
            receipt = record(services.database, who, [event], label_set=services.label_set, **{"tells": True, **mode})[
                0
            ]
            assert receipt.accepted


def test_change_to_the_suggestion__counts_as_one_and_the_second_answer_is_not_blind(services, cells) -> None:
    _lease(services, "ada", cells[0])
    _answer(services, "ada", cells[0], "LSIL", "HSIL")
    with services.database.read() as session:
        flags = list(session.scalars(select(Label.suggestion_shown).order_by(Label.id)))
    found = bias.episodes(services.database)

    assert flags == [False, True]
    assert [(e.first, e.final, e.was_told, e.became_suggestion) for e in found] == [("LSIL", "HSIL", True, True)]
    assert bias.figures(found).changed_told == Share(1, 1)


def test_check_cell__its_suggestion_is_never_told(services, cells) -> None:
    _lease(services, "ada", cells[0], reason=CHECK_REASON)
    _answer(services, "ada", cells[0], "LSIL", "HSIL")
    found = bias.figures(bias.episodes(services.database))

    assert (found.changed_told, found.changed_untold) == (Share(0, 0), Share(1, 1))


def test_right_and_wrong__against_the_verdict_and_else_the_label_that_came_with_the_data(services, cells) -> None:
    store_labels(services.database, [ImportedLabel(cell_id=c, category="LSIL") for c in cells[:4]])
    for cell, answers in zip(cells[:4], (("LSIL", "HSIL"), ("LSIL", "HSIL"), ("LSIL",), ("NILM",)), strict=True):
        _lease(services, "ada", cell)
        _answer(services, "ada", cell, *answers)
    verdict = VerdictEvent(key="v", cell_id=cells[0], category="HSIL")
    assert adjudication.decide(services.database, "vera", [verdict], label_set=services.label_set)[0].accepted
    found = bias.figures(bias.episodes(services.database))

    assert (found.right_to_change, found.wrong_to_change) == (Share(1, 2), Share(1, 2))
    assert (found.right_to_keep, found.wrong_to_keep) == (Share(1, 2), Share(0, 2))


def test_answer_that_is_taken_back_for_good__counts_for_the_first_answer_alone(services, cells) -> None:
    _lease(services, "ada", cells[0])
    _answer(services, "ada", cells[0], "HSIL")
    undo = UndoEvent(key="u", label_key=f"ada{cells[0]}0")
    assert record(services.database, "ada", [undo], label_set=services.label_set)[0].accepted
    found = bias.figures(bias.episodes(services.database))

    assert (found.agreed_blind, found.changed_told) == (Share(1, 1), Share(0, 0))


def test_suggestion_on_screen_before__is_counted_apart(services, cells) -> None:
    _lease(services, "ada", cells[0])
    _answer(services, "ada", cells[0], "HSIL", shown=True)
    found = bias.figures(bias.episodes(services.database))

    assert (found.agreed_shown, found.agreed_blind) == (Share(1, 1), Share(0, 0))


def test_cell_handed_out_before_the_first_probe__gets_the_suggestion_of_the_answer(services, cells) -> None:
    late = {cells[0]: LateGuess(category="LSIL", probability=0.6, probe_id="p2")}
    _lease(services, "ada", cells[0], suggestion=None)
    event = LabelEvent(key="k", cell_id=cells[0], category="HSIL")
    receipt = record(
        services.database, "ada", [event], label_set=services.label_set, tells=True, shown=True, late=late
    )[0]
    with services.database.read() as session:
        row = session.scalars(select(Label)).one()
    found = bias.episodes(services.database)

    assert (receipt.suggestion, row.probe_id, row.suggestion_shown) == ("LSIL", "p2", False)
    assert [e.was_told for e in found] == [True]


def test_suggestion_of_the_hand_out__is_not_replaced_by_a_newer_one(services, cells) -> None:
    late = {cells[0]: LateGuess(category="LSIL", probability=0.6, probe_id="p2")}
    _lease(services, "ada", cells[0])
    event = LabelEvent(key="k", cell_id=cells[0], category="HSIL")
    receipt = record(services.database, "ada", [event], label_set=services.label_set, tells=True, late=late)[0]

    assert receipt.suggestion == "HSIL"


def test_repeat__stays_without_a_suggestion_and_a_hidden_study_tells_none(services, cells) -> None:
    late = {c: LateGuess(category="LSIL", probability=0.6, probe_id="p2") for c in cells[:2]}
    _lease(services, "ada", cells[0], suggestion=None, reason=CHECK_REASON)
    _lease(services, "ada", cells[1])
    events = [LabelEvent(key=c, cell_id=c, category="HSIL") for c in cells[:2]]
    receipts = record(services.database, "ada", events, label_set=services.label_set, tells=False, late=late)

    assert [r.suggestion for r in receipts] == [None, "HSIL"]
    assert [e.was_told for e in bias.episodes(services.database)] == [False]


@pytest.mark.parametrize(("share", "low", "high"), [(Share(5, 10), 0.237, 0.763), (Share(0, 20), 0.0, 0.161)])
def test_interval__is_wilsons(share: Share, low: float, high: float) -> None:
    assert share.interval == pytest.approx((low, high), abs=5e-4)
