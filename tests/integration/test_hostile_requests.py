"""What a signed-in attacker may send: every route of ours answers with a sentence, never with a broken server."""

import json
from collections.abc import Iterator
from itertools import chain
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from app.sign_in import COOKIE
from labeling import accounts
from tests.api_site import Site, sites
from tests.studies import KINDS

TEXTS = ("\0", "\u00b2", "x" * 9000, "../../etc/passwd", "..\\..\\secret.key", "%", "'; DROP TABLE labels; --", "1e999",
         "9" * 5000, "-1", "nan", "\u202egnp.\u0000", "{0.__class__}", "<img src=x onerror=alert(1)>")  # fmt: skip
GETS = (
    "/api/gallery?limit={}", "/api/gallery?like={}", "/api/gallery?held={}", "/api/gallery?cells={}",
    "/api/gallery?suggested={}", "/api/gallery?order={}", "/api/map/points?layout={}", "/api/map/colors?by={}",
    "/api/slide-cells/{}", "/api/opinions?slide={}", "/api/cases?cell={}", "/api/cases?imported={}",
    "/api/atlas?cells={}", "/api/atlas?cells=CE-0&side={}", "/api/slides?cell={}", "/api/slides/{}/small",
    "/api/slides/{}/tile/0/0/0", "/api/slides/SLIDE/tile/{}/0/0", "/api/slides/SLIDE/tile/0/{}/0",
    "/api/slides/SLIDE/tile/0/0/0?z={}", "/api/exports/{}", "/api/v1/cells/{}/image", "/api/v1/export/{}",
)  # fmt: skip
POSTS = {
    "/api/exemplars": {"key": "k", "cell": "CELL", "category": "HSIL"},
    "/api/map/cells": {"rows": [0]},
    "/api/slide-cells/SLIDE/claim": {"cell": "CELL"},
    "/api/verdicts": {"events": [{"key": "k", "cell": "CELL", "category": "HSIL", "comment": "c"}]},
    "/api/finds": {"events": [{"key": "k", "slide": "SLIDE", "x": 1, "y": 1, "width": 9, "height": 9, "z": 0}]},
    "/api/opinions": {"events": [{"key": "k", "slide": "SLIDE", "adequacy": "adequate", "zone": "yes",
                                  "category": "NILM", "comment": "c"}]},
    "/api/v1/release": {"cells": ["CELL"]},
    "/api/v1/labels": {"events": [{"kind": "label", "key": "k", "cell": "CELL", "category": "HSIL", "comment": "c"}]},
}  # fmt: skip
VALUES = (None, True, -1, 10**400, 1e308, [], {}, [[]], "\0", "\ud800", "x" * 9000, "'; DROP TABLE labels; --")
BODIES = (b"", b"\xff", b"null", b"[]", b"[" * 100_000, b'{"a":' * 20_000, b'{"rows":[' + b"9" * 5000 + b"]}",
          b'{"events":[NaN]}', b'{"cell":Infinity}', b'"' + b"x" * 200_000 + b'"')  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def site(request, tmp_path_factory):
    yield from sites(request, tmp_path_factory)


@pytest.fixture
def browser(site: Site) -> TestClient:
    """An admin: what is not refused to anybody else reaches the routes."""
    token = accounts.open_sign_in(site.database, "admin")
    csrf = accounts.check_sign_in(site.database, token).csrf_token
    return TestClient(site.app, cookies={COOKIE: token}, headers={"x-csrf-token": csrf}, follow_redirects=False,
                      raise_server_exceptions=False)  # fmt: skip


def _with_one_changed(body: dict) -> Iterator[dict]:
    """Yield the body with each of its values replaced by each hostile one."""
    for name, value in body.items():
        for hostile in VALUES:
            yield {**body, name: hostile}
        if isinstance(value, list) and isinstance(value[0], dict):
            for row in _with_one_changed(value[0]):
                yield {**body, name: [row]}


def _is_told(answer) -> bool:
    """Return whether it was answered, or refused in a sentence that repeats little of what was sent."""
    is_refused = 400 <= answer.status_code < 500
    return answer.status_code in (200, 204) or (is_refused and 10 < len(answer.json()["error"]) < 600)


@pytest.mark.parametrize("path", GETS)
def test_addresses__of_any_text(site: Site, browser: TestClient, path: str) -> None:
    (slide,) = {row["slide"] for row in browser.get("/api/slides").json()["slides"]}
    for text in TEXTS:
        answer = browser.get(path.replace("SLIDE", slide).format(quote(text, safe="")))
        assert answer.status_code == 404 or _is_told(answer), (text[:40], answer.status_code, answer.text[:200])
        assert "root:" not in answer.text


@pytest.mark.parametrize("path", POSTS)
def test_bodies__of_any_content(site: Site, browser: TestClient, path: str) -> None:
    (slide,) = {row["slide"] for row in browser.get("/api/slides").json()["slides"]}
    told = json.dumps(POSTS[path]).replace("SLIDE", slide).replace("CELL", site.cells[0])
    bodies = chain(BODIES, (json.dumps(body).encode() for body in _with_one_changed(json.loads(told))))
    for content in bodies:
        answer = browser.post(path.replace("SLIDE", slide), content=content,
                              headers={"content-type": "application/json"})  # fmt: skip
        assert _is_told(answer), (content[:120], answer.status_code, answer.text[:200])
