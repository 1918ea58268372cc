"""The set of classes is told after the answer, with its number of labels, and never where a suggestion is not."""

import pytest
from starlette.testclient import TestClient

from app.refit import refit_study
from app.settings import Settings
from app.sign_in import PUBLIC
from labeling import accounts, tokens
from labeling.labels import LabelEvent, record
from labeling.mixture import CHECK_REASON
from labeling.records import Label
from tests.api_site import PASSWORD, gated
from tests.builders import vector_study, vector_truth


@pytest.fixture
def doctor(services):
    accounts.add_account(services.database, "eva", "annotator", PASSWORD)
    secret = tokens.create(services.database, "eva", "test").secret
    Settings(suggestions="after").save(services.home)
    return TestClient(gated(vector_study(services)), headers={"Authorization": f"Bearer {secret}"})


def _label(services, cells: range) -> None:
    events = [LabelEvent(key=f"k{n}", cell_id=f"CE{n:05d}", category=vector_truth(n)) for n in cells]
    assert all(r.accepted for r in record(services.database, "ada", events, label_set=services.label_set))
    refit_study(services)


def _answer_all(doctor, category: str = "NILM") -> tuple[list[dict], list[dict]]:
    items = doctor.get(f"{PUBLIC}/worklist?limit=40").json()["items"]
    events = [{"kind": "label", "key": f"e-{i['cell']}", "cell": i["cell"], "category": category} for i in items]
    return items, doctor.post(f"{PUBLIC}/labels", json={"events": events}).json()["receipts"]


def test_set__comes_with_the_receipt_and_says_on_how_many_labels_it_rests(services, doctor) -> None:
    _label(services, range(0, 400, 3))
    items, receipts = _answer_all(doctor)
    told = [receipt for receipt in receipts if receipt["among"]]

    assert all(item["suggestion"] is None and "among" not in item for item in items)
    assert len(told) > 20
    assert all(r["among"]["categories"][0] == r["suggestion"]["category"] for r in told)
    assert {(r["among"]["percent"], r["among"]["labels"]) for r in told} == {(90, 134)}
    with services.database.read() as session:
        checks = {row.key for row in session.query(Label).where(Label.reason == CHECK_REASON)}
    assert checks
    assert all(r["among"] is None and r["kept_back"] for r in receipts if r["key"] in checks)


def test_set__is_not_told_from_a_handful_of_labels(services, doctor) -> None:
    _label(services, range(0, 400, 10))
    _label_more = [LabelEvent(key=f"m{n}", cell_id=f"CE{n:05d}", category=vector_truth(n)) for n in (7, 8, 47, 48)]
    record(services.database, "ada", _label_more, label_set=services.label_set)
    refit_study(services)
    _, receipts = _answer_all(doctor)

    assert any(receipt["suggestion"] for receipt in receipts)
    assert all(receipt["among"] is None for receipt in receipts)
