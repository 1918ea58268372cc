"""The HTTP API of other programs: tokens, and one mechanism with the pages."""

import hashlib
import io
import zipfile
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from app.refit import refit_study
from app.settings import Settings
from app.sign_in import COOKIE, PUBLIC
from datasets import catalog
from datasets.db import utc_now
from datasets.embeddings import EmbeddingStore, set_current
from datasets.places import place_of_cell
from labeling import accounts, tokens
from labeling.accounts import ROLES
from labeling.export import export_labels
from labeling.export.rows import Selection
from labeling.labels import LabelEvent, record
from labeling.mixture import CHECK_REASON
from labeling.records import Label
from labeling.verification import check_chain
from tests.api_site import PASSWORD, Site, gated, sites
from tests.builders import drawn_study
from tests.studies import KINDS


@pytest.fixture(scope="module", params=KINDS)
def site(request, tmp_path_factory):
    yield from sites(request, tmp_path_factory)


def test_token__opens_the_api_and_nothing_else(site) -> None:
    program = site.program("admin")

    assert program.get(f"{PUBLIC}/study").json()["account"] == "admin"
    for path in ("/", "/api/gallery", "/api/cases", "/api/atlas", "/_stcore/host-config", "/media/x", "/api/v1"):
        assert program.get(path).status_code == 403, path
        assert program.get(path, headers={"accept": "text/html"}).status_code == 403, path


def test_token__unknown_revoked_or_of_a_disabled_account_is_a_stranger(site) -> None:
    accounts.add_account(site.database, "leaving", "annotator", PASSWORD)
    made = tokens.create(site.database, "leaving", "test")
    program = site.client(Authorization=f"Bearer {made.secret}")
    assert program.get(f"{PUBLIC}/worklist").status_code == 200
    tokens.revoke(site.database, made.id)
    answer = program.get(f"{PUBLIC}/worklist")

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    second = site.program("leaving")
    assert second.get(f"{PUBLIC}/worklist").status_code == 200
    accounts.disable(site.database, "leaving")
    assert second.get(f"{PUBLIC}/worklist").status_code == 401
    for header in ("Bearer", "Bearer ", "Bearer x", "Basic YTpi", f"Token {made.secret}", "Bearer \xe4"):
        answer = site.client().get(f"{PUBLIC}/study", headers={"Authorization": header.encode("latin-1")})
        assert (answer.status_code, set(answer.json())) == (401, {"error"}), header


def test_token__a_cookie_beside_it_counts_for_nothing(site) -> None:
    cookie = accounts.open_sign_in(site.database, "admin")
    both = TestClient(site.app, cookies={COOKIE: cookie}, headers={"Authorization": "Bearer no"})
    program = site.program("auditor")
    program.cookies.set(COOKIE, cookie)

    assert both.get(f"{PUBLIC}/study").status_code == 401
    assert program.get(f"{PUBLIC}/study").json()["account"] == "auditor"
    assert program.get("/api/gallery").status_code == 403


def test_page__a_cookie_alone_still_needs_the_token_of_its_page(site) -> None:
    cookie = accounts.open_sign_in(site.database, "annotator")
    csrf = accounts.check_sign_in(site.database, cookie).csrf_token
    page, body = TestClient(site.app, cookies={COOKIE: cookie}), {"cells": []}

    assert page.post(f"{PUBLIC}/release", json=body).status_code == 403
    assert page.post(f"{PUBLIC}/release", json=body, headers={"x-csrf-token": ""}).status_code == 403
    assert page.post(f"{PUBLIC}/release", json=body, headers={"x-csrf-token": csrf}).status_code == 200
    evil = {"x-csrf-token": csrf, "origin": "http://evil.example"}
    assert page.post(f"{PUBLIC}/release", json=body, headers=evil).status_code == 403
    evil = {"origin": "http://evil.example"}
    assert site.program("annotator").post(f"{PUBLIC}/release", json=body, headers=evil).status_code == 403


def test_labels__of_a_page_and_of_a_program_are_the_same(site) -> None:
    accounts.add_account(site.database, "ada", "annotator", PASSWORD)
    cookie = accounts.open_sign_in(site.database, "ada")
    page = TestClient(
        site.app, cookies={COOKIE: cookie},
        headers={"x-csrf-token": accounts.check_sign_in(site.database, cookie).csrf_token},
    )  # fmt: skip
    program = site.program("ada")
    leased = program.get(f"{PUBLIC}/worklist", params={"limit": 2}).json()["items"]
    again = page.get(f"{PUBLIC}/worklist", params={"limit": 2}).json()["items"]
    assert [i["cell"] for i in leased] == [i["cell"] for i in again]
    assert [i["image"] for i in leased] == [f"{PUBLIC}/cells/{i['cell']}/image" for i in leased]

    def label(key: str, cell: str) -> dict:
        return {"events": [{"kind": "label", "key": key, "cell": cell, "category": "HSIL", "seconds": 1.5}]}

    first = program.post(f"{PUBLIC}/labels", json=label("by-program", leased[0]["cell"])).json()
    assert site.last_event()["via"].endswith(": test")
    second = page.post(f"{PUBLIC}/labels", json=label("by-page", leased[1]["cell"])).json()
    assert "via" not in site.last_event()
    twice = page.post(f"{PUBLIC}/labels", json=label("by-program", leased[0]["cell"])).json()
    rows = program.get(f"{PUBLIC}/labels").json()["labels"]

    assert [r["receipts"][0]["accepted"] for r in (first, second, twice)] == [True] * 3
    assert first["receipts"][0]["asked_because"]
    assert [(r["label_key"], r["annotator"], r["category"], r["seconds"], r["is_current"]) for r in rows] == [
        ("by-program", "ada", "HSIL", 1.5, True), ("by-page", "ada", "HSIL", 1.5, True),
    ]  # fmt: skip
    undo = {"events": [{"kind": "undo", "key": "u", "label_key": "by-program"}]}
    assert program.post(f"{PUBLIC}/labels", json=undo).json()["receipts"][0]["accepted"]
    assert [r["is_current"] for r in page.get(f"{PUBLIC}/labels").json()["labels"]] == [False, True]
    assert check_chain(site.database).problems == ()


def test_labels__a_time_that_no_calendar_has_does_not_cost_the_answer(site) -> None:
    program = site.program("adjudicator")
    event = {"kind": "label", "key": "old", "cell": site.cells[0], "category": "NILM"}

    def sent(moment: object):
        return program.post(f"{PUBLIC}/labels", json={"events": [{**event, "decided_at": moment}]})

    assert (sent("2026-05-04T09:30:00").status_code, sent(7).status_code, sent("soon").status_code) == (400, 400, 400)
    assert sent("0001-01-01T00:00:00+14:00").json()["receipts"][0]["accepted"]


def _label(site: Site, name: str, count: int) -> None:
    events = [LabelEvent(key=f"{name}-{n}", cell_id=site.cells[n], category="NILM") for n in range(count)]
    record(site.database, name, events, label_set=site.services.label_set)


def test_labels__pages_of_them(site) -> None:
    accounts.add_account(site.database, "pager", "annotator", PASSWORD)
    for name in ("pager", "other"):
        _label(site, name, 5)
    program, found, after = site.program("pager"), [], 0
    while after is not None:
        page = program.get(f"{PUBLIC}/labels", params={"after": after, "limit": 2}).json()
        found += [row["label_key"] for row in page["labels"]]
        after = page["next"]
    everybody = {r["annotator"] for r in site.program("admin").get(f"{PUBLIC}/labels?limit=1000").json()["labels"]}

    assert found == [f"pager-{n}" for n in range(5)]
    assert {"pager", "other"} <= everybody


def test_cells__pages_facts_and_pictures(site) -> None:
    program, found, after = site.program("data-manager"), [], ""
    while after is not None:
        page = program.get(f"{PUBLIC}/cells", params={"after": after, "limit": 7}).json()
        found, after = found + page["cells"], page["next"]
    one = program.get(f"{PUBLIC}/cells/{site.cells[3]}").json()
    picture = program.get(one["image"])
    fresh = program.get(one["image"], headers={"if-none-match": picture.headers["etag"]})

    assert [c["cell"] for c in found] == site.cells
    assert one == found[3]
    place = place_of_cell(site.database, site.cells[3])
    assert (one["x_px"], one["y_px"], one["slide_mpp"], one["slide"]) == (place.x, place.y, place.mpp, place.slide_id)
    assert picture.content == catalog.crop_path(site.services.home, site.cells[3]).read_bytes()
    assert (fresh.status_code, fresh.content) == (304, b"")
    assert program.get(f"{PUBLIC}/cells", params={"slide": "SL-NONE"}).json() == {"cells": [], "next": None}
    assert program.get(f"{PUBLIC}/cells/CE-NONE").status_code == 404
    for path in ("..%2f..%2fcytojepa.toml", "%2e%2e/image", "a%00b/image"):
        assert program.get(f"{PUBLIC}/cells/{path}").status_code in (400, 404)


def test_suggestions__never_lead_who_labels(tmp_path) -> None:
    services = drawn_study(tmp_path / "home", tmp_path / "drawn", num_slides=1)
    database, cells = services.database, catalog.cell_ids(services.database)[:12]
    store = EmbeddingStore(services.embeddings_folder, "f" * 16)
    store.append(cells, [[float(n % 2), 1.0, n / 12] for n in range(12)])
    set_current(services.embeddings_folder, "f" * 16)
    for role in ROLES:
        accounts.add_account(database, role, role, PASSWORD)
    events = [LabelEvent(key=f"k{n}", cell_id=cells[n], category=("NILM", "HSIL")[n % 2]) for n in range(6)]
    record(database, "annotator", events, label_set=services.label_set)
    with database.write() as session:
        session.add(Label(
            key="check", cell_id=cells[8], annotator="annotator", category="NILM", made_at=utc_now(),
            reason=CHECK_REASON, suggestion="HSIL", suggestion_probability=0.9, suggestion_shown=False,
        ))  # fmt: skip
    refit_study(services)

    def seen(mode: str) -> dict[str, object]:
        app = gated(replace(services, settings=Settings(suggestions=mode)))
        found = {}
        for role in ("annotator", "adjudicator", "data-manager"):
            secret = tokens.create(database, role, mode).secret
            client = TestClient(app, headers={"Authorization": f"Bearer {secret}"})
            answer = client.get(f"{PUBLIC}/suggestions")
            is_ok = answer.status_code == 200
            found[role] = [s["cell"] for s in answer.json()["suggestions"]] if is_ok else answer.status_code
        return found

    assert seen("after") == {"annotator": cells[:6], "adjudicator": [], "data-manager": cells}
    assert seen("hidden") == {"annotator": 403, "adjudicator": 403, "data-manager": cells}
    assert seen("shown") == {"annotator": cells, "adjudicator": cells, "data-manager": cells}
    secret = tokens.create(database, "data-manager", "pages").secret
    client = TestClient(gated(services), headers={"Authorization": f"Bearer {secret}"})
    secret = tokens.create(database, "annotator", "own").secret
    doctor = TestClient(gated(services), headers={"Authorization": f"Bearer {secret}"})
    own = doctor.get(f"{PUBLIC}/labels").json()["labels"]
    assert (own[-1]["label_key"], own[-1]["suggestion"]) == ("check", None)
    page = client.get(f"{PUBLIC}/suggestions", params={"start": 10, "limit": 5}).json()
    named = client.get(f"{PUBLIC}/suggestions", params={"cells": f"{cells[7]},CE-NONE"}).json()
    assert ([s["cell"] for s in page["suggestions"]], page["next"]) == (cells[10:], None)
    assert [s["cell"] for s in named["suggestions"]] == [cells[7]]
    assert named["suggestions"][0]["category"] == "HSIL"
    database.close()


def test_export__is_the_file_that_the_command_writes_and_is_told(site) -> None:
    _label(site, "taken", 6)
    program = site.program("data-manager")
    answer = program.get(f"{PUBLIC}/export/parquet", params={"annotator": "taken", "current": True})
    table = pq.read_table(io.BytesIO(answer.content))
    event = site.last_event()

    assert table.column("label_key").to_pylist() == [f"taken-{n}" for n in range(6)]
    assert answer.headers["x-content-sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert answer.headers["content-disposition"] == 'attachment; filename="labels-parquet.parquet"'
    assert (event["kind"], event["by"], event["facts"]["rows"]) == ("labels exported", "data-manager", 6)
    for name in ("csv", "coco", "geojson", "labelstudio"):
        answer = program.get(f"{PUBLIC}/export/{name}", params={"rows": "label"})
        assert (answer.status_code, int(answer.headers["x-rows"]) > 5) == (200, True), name
    assert site.program("annotator").get(f"{PUBLIC}/export/csv").status_code == 403


def test_export__by_agreement_and_by_the_moment_of_storing(site) -> None:
    for doctor, category in (("one", "HSIL"), ("two", "LSIL")):
        event = LabelEvent(key=f"{doctor}-differs", cell_id=site.cells[1], category=category)
        record(site.database, doctor, [event], label_set=site.services.label_set)

    def rows(**wanted: object) -> list[dict]:
        answer = site.program("data-manager").get(f"{PUBLIC}/export/parquet", params={"rows": "label", **wanted})
        assert answer.status_code == 200, answer.text
        return pq.read_table(io.BytesIO(answer.content)).to_pylist()

    everything = rows()
    moment = sorted(row["made_at"] for row in everything)[-1]

    assert {row["cell"] for row in rows(agreement="differ")} == {site.cells[1]}
    assert site.cells[1] not in {row["cell"] for row in rows(min_share=0.9)}
    assert [row["made_at"] for row in rows(since=moment)] == [moment]
    assert len(rows(until=moment)) == len(everything) - 1
    assert site.program("data-manager").get(f"{PUBLIC}/export/csv?since=soon").status_code == 400


@pytest.mark.parametrize(
    ("name", "inside"), [("dicom-ann", ".dcm"), ("imagefolder", "cells.csv"), ("webdataset", "dataset.json")]
)
def test_export__a_folder_comes_as_one_zip_of_what_the_command_writes(site, tmp_path, name: str, inside: str) -> None:
    _label(site, f"zip-{name}", 1)
    answer, again = (site.program("data-manager").get(f"{PUBLIC}/export/{name}", params={"rows": "label"})
                     for _ in range(2))  # fmt: skip
    settings = site.services.settings
    export_labels(site.database, name, tmp_path / "out", label_set=site.services.label_set, crop_px=settings.crop_px,
                  selection=Selection(kinds=("label",)))  # fmt: skip
    folder = {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
              for path in (tmp_path / "out").rglob("*") if path.is_file()}  # fmt: skip

    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert {member: packed.read(member) for member in packed.namelist()} == folder
    assert any(member.endswith(inside) for member in folder)
    assert again.content == answer.content, "same study, same bytes"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-content-sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert answer.headers["content-disposition"] == f'attachment; filename="labels-{name}.zip"'
    assert list((site.services.home / "exports").iterdir()) == [], "nothing is left on the server"


def test_order__is_the_data_managers_and_a_list_of_one_suggestion_only_where_it_is_shown(site) -> None:
    slide = catalog.slide_of_cells(site.database)[site.cells[0]]
    manager, doctor = site.program("data-manager"), site.program("annotator")
    given = manager.post(f"{PUBLIC}/order", json={"first_slides": [slide]})
    refused = manager.post(f"{PUBLIC}/order", json={"first_classes": ["XX"]})
    shown = gated(replace(site.services, settings=Settings(suggestions="shown")))
    program = TestClient(shown, headers={"Authorization": doctor.headers["Authorization"]})

    assert (given.status_code, given.json()) == (200, manager.get(f"{PUBLIC}/order").json())
    assert given.json()["first_slides"] == [slide]
    assert (refused.status_code, "XX" in refused.json()["error"]) == (404, True)
    assert site.last_event()["kind"] == "order of work changed"
    assert doctor.get(f"{PUBLIC}/order").status_code == 403
    assert doctor.get(f"{PUBLIC}/worklist?suggested=HSIL").status_code == 403
    assert program.get(f"{PUBLIC}/worklist?suggested=HSIL").json()["items"] == []
    assert program.get(f"{PUBLIC}/worklist?suggested=XX").status_code == 404
