"""A doctor's own choice of cells: counted, kept apart from check cells, and no way to read a suggestion."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from operator import itemgetter

import numpy as np
import pytest
from sqlalchemy import select, text, update
from starlette.testclient import TestClient

from app.present import PresentSuggestions
from app.refit import refit_study
from app.sign_in import COOKIE, PUBLIC
from datasets.catalog import Cell
from datasets.db import utc_now
from labeling import accounts, leases, orders, tokens
from labeling.labels import LabelEvent, record
from labeling.mixture import BLIND, NOVEL, REPEAT, UNCERTAIN, Shares
from labeling.openings import Focus
from labeling.orders import Order
from labeling.records import Assignment, BlindSlide, Candidate, Label
from tests.api_site import PASSWORD, gated
from tests.builders import label_vector_study, vector_study

LABELLED = [f"CE{n:05d}" for n in range(0, 400, 3)]


@pytest.fixture
def study(services):
    vector_study(services)
    assert label_vector_study(services) == LABELLED
    refit_study(services)
    for name in ("ben", "eva"):
        accounts.add_account(services.database, name, "annotator", PASSWORD)
    return services


def _program(study, name: str, mode: str) -> TestClient:
    services = replace(study, settings=replace(study.settings, suggestions=mode))
    secret = tokens.create(services.database, name, "test").secret
    return TestClient(gated(services), headers={"Authorization": f"Bearer {secret}"})


def _ask(program: TestClient, path: str, **words: object) -> dict:
    answer = program.get(f"{PUBLIC}/{path}", params=words)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _rows(study, *columns):
    with study.database.read() as session:
        return session.execute(select(*columns)).all()


def test_choices__count_what_this_doctor_can_still_get(study) -> None:
    ben = _program(study, "ben", "after")
    slide_of = dict(_rows(study, Cell.id, Cell.slide_id))
    leases.take(study.database, "eva", 7, reads=1, lease_seconds=600)
    held = set(leases.held(study.database, "eva"))
    free = Counter(slide for cell, slide in slide_of.items() if cell not in held and cell not in LABELLED)
    found, one = _ask(ben, "choices"), _ask(ben, "choices", slides="SL3")

    assert {row["slide"]: row["left"] for row in found["slides"]} == free
    assert (found["left"], one["left"]) == (free.total(), free["SL3"])
    novel = {row.cell_id for row in _rows(study, Candidate.cell_id, Candidate.arm) if row.arm == NOVEL}
    assert {row["ground"]: row["left"] for row in found["grounds"]}["unlike"] == len(novel - held)
    orders.give(study.database, Order(only_slides=("SL3",)), by="max", label_set=study.label_set)
    assert [row["slide"] for row in _ask(ben, "choices")["slides"]] == ["SL3"]


def test_suggested__in_a_study_that_asks_first_neither_counted_nor_given(study) -> None:
    for mode in ("after", "hidden"):
        ben = _program(study, "ben", mode)

        assert _ask(ben, "choices")["categories"] is None
        for path in ("choices", "worklist"):
            assert ben.get(f"{PUBLIC}/{path}", params={"suggested": "HSIL"}).status_code == 403


def test_suggested__looks_at_all_of_the_pool_but_not_at_what_chance_has_chosen(study) -> None:
    with study.database.write() as session:
        session.add(BlindSlide(slide_id="SL19", chosen_at=utc_now()))
        session.execute(update(Candidate).where(Candidate.arm.not_in(BLIND)).values(suggestion="NILM"))
    table = PresentSuggestions(study).table()
    measured = {row.cell_id for row in _rows(study, Candidate.cell_id, Candidate.arm) if row.arm in BLIND}
    slide_of = dict(_rows(study, Cell.id, Cell.slide_id))
    wanted = {c for c in slide_of if table.of(c)[0] == "HSIL" and slide_of[c] != "SL19"} - measured - set(LABELLED)
    ben, eva = _program(study, "ben", "shown"), _program(study, "eva", "shown")
    counted = {row["category"]: row["left"] for row in _ask(ben, "choices")["categories"]}
    got: list[dict] = []
    while items := _ask(ben, "worklist", suggested="HSIL", limit=20, held=",".join(i["cell"] for i in got))["items"]:
        got += items

    assert len(wanted) > 20
    assert counted["HSIL"] == len(wanted)
    assert sorted(item["cell"] for item in got) == sorted(wanted)
    assert all(item["suggestion"]["category"] == "HSIL" for item in got)
    assert _ask(eva, "worklist", suggested="HSIL")["items"] == []
    with_slide = _ask(eva, "choices", suggested="HSIL", slides="SL3")
    assert with_slide["left"] == 0
    record(study.database, "ben", [LabelEvent(key="x", cell_id=got[0]["cell"], category="HSIL")],
           label_set=study.label_set, shown=True)  # fmt: skip
    told = [row for row in _rows(study, Label.cell_id, Label.suggestion, Label.reason, Label.probe_id)
            if row.cell_id == got[0]["cell"]]  # fmt: skip
    assert [(row.suggestion, row.probe_id) for row in told] == [("HSIL", table.probe_id)]


def test_by_class__is_every_row_once_the_least_sure_first(study) -> None:
    table = PresentSuggestions(study).table()
    found = table.by_class()
    told = np.sort(np.asarray(table.probabilities, np.float32)[found["HSIL"]], axis=1)

    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(len(table.probabilities)))
    assert np.all(np.diff(told[:, -1] - told[:, -2]) >= 0)


def test_ground__asks_the_ranked_list_for_its_arms_alone(study) -> None:
    ben = _program(study, "ben", "after")
    arms = {row.cell_id: row.arm for row in _rows(study, Candidate.cell_id, Candidate.arm)}
    for ground, arm in (("unlike", NOVEL), ("unclear", UNCERTAIN)):
        items = _ask(ben, "worklist", ground=ground, limit=10)["items"]
        assert {arms[item["cell"]] for item in items} == {arm}
    assert ben.get(f"{PUBLIC}/worklist", params={"ground": "second"}).status_code == 400


def test_new_choice__sets_held_cells_aside_without_costing_the_other_window_its_leases(study) -> None:
    def take(name: str, **options) -> list[leases.WorkItem]:
        return leases.take(study.database, name, 8, reads=1, lease_seconds=600, shares=Shares(repeat=0), **options)

    before = take("ben")
    slide_of = dict(_rows(study, Cell.id, Cell.slide_id))
    focus = Focus(slides=(slide_of[before[0].cell_id],))
    chosen = take("ben", focus=focus)
    others = take("eva", focus=focus)
    again = take("ben")

    assert {slide_of[item.cell_id] for item in chosen} == {focus.slides[0]}
    assert {item.cell_id for item in before} <= leases.held(study.database, "ben").keys()
    assert not {item.cell_id for item in others} & leases.held(study.database, "ben").keys()
    assert {item.cell_id for item in again} <= {item.cell_id for item in [*before, *chosen]}
    with study.database.read() as session:
        assert REPEAT not in set(session.scalars(select(Assignment.arm)))


def test_unseen__cells_given_back_count_as_never_handed_out_and_the_list_tells_its_making(study) -> None:
    ben = _program(study, "ben", "after")
    first = _ask(ben, "worklist", limit=12)
    cells = [item["cell"] for item in first["items"]]
    refit_study(study)
    answer = ben.post(f"{PUBLIC}/labels", json={"events": [
        {"kind": "label", "key": "one", "cell": cells[0], "category": "NILM"}]})  # fmt: skip
    released = ben.post(f"{PUBLIC}/release", json={"cells": cells[:1] + cells[4:], "unseen": True})
    served = Counter(row.cell_id for row in _rows(study, Assignment.cell_id, Assignment.annotator)
                     if row.annotator == "ben")  # fmt: skip
    second = _ask(ben, "worklist", limit=12, held=",".join(cells[1:4]))

    assert answer.json()["edition"] == second["edition"] > first["edition"]
    assert released.json() == {"released": 8}
    assert served == Counter(cells[:4])
    assert not {item["cell"] for item in second["items"]} & set(cells[:4])


def test_release_that_comes_late__leaves_what_the_next_page_has_asked_for_with_its_reason_and_suggestion(study) -> None:
    eva = _program(study, "eva", "shown")
    left = _ask(eva, "worklist", limit=6)
    cells, guessed = [item["cell"] for item in left["items"]], next(i for i in left["items"] if i["suggestion"])
    _ask(eva, "worklist", limit=6)  # the next page is here before the release of the one that was left
    late = eva.post(f"{PUBLIC}/release", json={"cells": cells, "unseen": True, "until": left["until"]})
    eva.post(f"{PUBLIC}/labels", json={"events": [
        {"kind": "label", "key": "one", "cell": guessed["cell"], "category": "NILM"}]})  # fmt: skip
    (label,) = _ask(eva, "labels")["labels"]
    newest = _ask(eva, "worklist", limit=6, held=",".join({*cells} - {guessed["cell"]}))
    in_time = eva.post(f"{PUBLIC}/release", json={"cells": cells, "unseen": True, "until": newest["until"]})

    assert len(cells) == 6
    assert late.json() == {"released": 0}
    assert (label["reason"], label["suggestion"]) == (guessed["reason"], guessed["suggestion"]["category"])
    assert label["suggestion_shown"]
    assert in_time.json() == {"released": 5}


def test_unseen__a_hidden_repeat_that_was_not_shown_comes_again(study) -> None:
    long_ago = utc_now() - timedelta(days=3)
    events = [LabelEvent(key=f"e{n}", cell_id=f"CE{n:05d}", category="NILM") for n in range(1, 391, 3)]
    record(study.database, "eva", events, label_set=study.label_set)
    with study.database.write() as session:
        session.execute(text("DROP TRIGGER labels_no_update"))
        session.execute(update(Label).where(Label.annotator == "eva").values(made_at=long_ago))

    def repeats() -> set[str]:
        items = leases.take(study.database, "eva", 12, reads=1, lease_seconds=600, shares=Shares(repeat=40))
        return {item.cell_id for item in items} & {event.cell_id for event in events}

    first = repeats()
    leases.give_back(study.database, "eva", first, unseen=True)
    second = repeats()
    leases.give_back(study.database, "eva", second)

    assert first
    assert second == first
    assert not repeats() & first


@pytest.mark.parametrize("order", ["likeness", "certainty"])
def test_gallery_of_a_study_that_shows_first__is_grouped_by_suggestion_and_sorted_as_asked(study, order: str) -> None:
    services = replace(study, settings=replace(study.settings, suggestions="shown"))
    client = TestClient(gated(services), cookies={COOKIE: accounts.open_sign_in(study.database, "ben")})
    items = client.get("/api/gallery", params={"limit": 60, "order": order}).json()["items"]
    found = [(item["suggestion"]["category"], item["suggestion"]["probability"]) for item in items]
    groups = [(name, [p for _, p in rows]) for name, rows in groupby(found, key=itemgetter(0))]
    names = [name for name, _ in groups]
    only = client.get("/api/gallery", params={"limit": 20, "order": order, "suggested": "HSIL"}).json()["items"]

    assert len(items) == 60
    assert len(names) > 1
    assert names == [name for name in study.label_set.ids if name in names], "each once, in the order of the answers"
    assert all(sure == sorted(sure, reverse=True) for _, sure in groups) == (order == "certainty")
    assert len(only) == 20
    assert {item["suggestion"]["category"] for item in only} == {"HSIL"}
