"""What an export over HTTP leaves in the chain of events: who took which labels out, with all filters."""

import json
from dataclasses import fields

from sqlalchemy import select
from starlette.testclient import TestClient

from app.sign_in import PUBLIC
from labeling import accounts, tokens
from labeling.export.rows import Selection
from labeling.records import Event
from tests.api_site import PASSWORD, gated


def test_export__every_filter_is_told_in_the_chain_of_events(services) -> None:
    accounts.add_account(services.database, "dora", "data-manager", PASSWORD)
    made = tokens.create(services.database, "dora", "the lab's system")
    program = TestClient(gated(services), headers={"Authorization": f"Bearer {made.secret}"})
    asked = {"slide": ["SL-A", "SL-B"], "annotator": "one", "category": "HSIL", "current": True, "rows": "label",
             "agreement": "differ", "min_share": 0.5, "min_readers": 3, "since": "2026-01-31",
             "until": "2999-01-01T12:00"}  # fmt: skip
    answer = program.get(f"{PUBLIC}/export/csv", params=asked)
    with services.database.read() as session:
        event = json.loads(session.scalar(select(Event.body).order_by(Event.seq.desc()).limit(1)))
    facts = event["facts"]

    assert (answer.status_code, event["kind"], event["by"]) == (200, "labels exported", "dora")
    want = {"format": "csv", "rows": 0, "sha256": answer.headers["x-content-sha256"], "slides": "SL-A, SL-B",
            "annotators": "one", "categories": "HSIL", "is_current_only": True, "kinds": "label",
            "agreement": "differ", "min_share": 0.5, "min_readers": 3, "since": "2026-01-31T00:00:00+00:00",
            "until": "2999-01-01T12:00:00+00:00"}  # fmt: skip
    assert {name: facts[name] for name in want} == want
    assert "the lab's system" in facts["via"]
    refused = program.get(f"{PUBLIC}/export/webdataset", params={"rows": "opinion"})
    assert (refused.status_code, set(refused.json())) == (404, {"error"})
    assert {field.name for field in fields(Selection)} <= set(facts), "a new filter is told too"
