"""Every route of the HTTP API by its own description: closed to strangers, open to the right roles, never a 5xx."""

import contextlib
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from app.api import api_routes
from app.settings import BUILT_IN
from app.sign_in import PUBLIC, ROUTE_RIGHTS, room_of
from datasets import catalog
from labeling import opinions, tokens
from labeling.accounts import RIGHTS, ROLES
from labeling.adjudication import VerdictEvent, decide
from labeling.labels import LabelEvent, record
from tests.api_site import Site, sites
from tests.studies import POSTGRESQL


@pytest.fixture(scope="module", params=[BUILT_IN, pytest.param(POSTGRESQL, marks=pytest.mark.slow)])
def site(request: pytest.FixtureRequest, tmp_path_factory):
    """Served from each kind of database, from a server at night."""
    for made in sites(request, tmp_path_factory):
        with_said(made)
        yield made


def with_said(site: Site) -> None:
    """Give it a label, a verdict and an opinion: rows that not every format can hold."""
    label_set, slide = site.services.label_set, catalog.slide_of_cells(site.database)[site.cells[0]]
    label = LabelEvent(key="said-label", cell_id=site.cells[0], category="HSIL")
    verdict = VerdictEvent(key="said-verdict", cell_id=site.cells[0], category=None)
    opinion = opinions.OpinionEvent(key="said-opinion", slide_id=slide, comment="thick")
    receipts = [*record(site.database, "annotator", [label], label_set=label_set),
                *decide(site.database, "adjudicator", [verdict], label_set=label_set),
                *opinions.record(site.database, "annotator", [opinion], label_set=label_set)]  # fmt: skip
    assert all(receipt.accepted for receipt in receipts)


@pytest.fixture(scope="module")
def document(site) -> dict:
    return site.program("auditor").get(f"{PUBLIC}/openapi.json").json()


def test_document__describes_every_route_and_every_refusal(site, document) -> None:
    shown = {(path, method) for path, methods in document["paths"].items() for method in methods}
    mount = next(route for route in api_routes(site.services) if route.path == PUBLIC)
    served = {
        (route.path, method.lower()) for route in mount.routes for method in getattr(route, "methods", ())
    } - {("/openapi.json", "get")}  # fmt: skip

    assert document["servers"] == [{"url": PUBLIC}]
    assert {(p, m) for p, m in served if m != "head"} == shown
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["security"] == [{"HTTPBearer": []}], path
            assert {"200", "400", "401", "403"} <= set(operation["responses"]), path
            assert "422" not in operation["responses"]
            assert operation["summary"]
            assert operation["description"]
            problem = operation["responses"]["400"]["content"]["application/json"]["schema"]
            assert problem == {"$ref": "#/components/schemas/Problem"}


@pytest.mark.parametrize("role", ROLES)
def test_routes__each_role_with_a_token(site, document, role: str) -> None:
    program, stranger = site.program(role), site.client()
    for path, methods in document["paths"].items():
        url = PUBLIC + path.replace("{cell_id}", site.cells[0]).replace("{format_name}", "csv")
        for method in methods:
            answer = program.request(method, url)
            is_open = ROUTE_RIGHTS[room_of(url)] in RIGHTS[role]

            assert (answer.status_code == 403) == (not is_open), (role, method, path, answer.text)
            assert answer.status_code < 500
            assert stranger.request(method, url).status_code == 401


PATIENCE_SECONDS = 300
"""How fast an answer comes is not asked here."""
EXAMPLES = 25
"""Of each route, twice: once as described, once with something wrong in it."""


def test_every_route__holds_what_its_description_says(site) -> None:
    """schemathesis: no 5xx, every answer as described, also to what nobody in his senses would send."""
    secret = tokens.create(site.database, "admin", "schemathesis").secret
    headers = {"Authorization": f"Bearer {secret}"}
    schema = schemathesis.openapi.from_asgi(f"{PUBLIC}/openapi.json", site.app, headers=headers)
    operations = [result.ok() for result in schema.get_all_operations()]
    statuses = Counter()
    for operation in operations:
        for mode in GenerationMode:
            statuses += _try(operation, mode, headers)

    assert len(operations) == 15
    assert statuses.total() > EXAMPLES * len(operations)
    assert {200, 400, 404} <= set(statuses)


def _try(operation, mode: GenerationMode, headers: dict[str, str]) -> Counter[int]:
    statuses: Counter[int] = Counter()

    @given(case=operation.as_strategy(mode, headers=headers))
    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    def run(case) -> None:
        statuses[case.call_and_validate(timeout=PATIENCE_SECONDS).status_code] += 1

    with contextlib.suppress(Unsatisfiable):  # there is nothing that could be wrong
        run()
    return statuses
