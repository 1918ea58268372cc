"""What the guides say that each role may do is what the program lets it do."""

import ast
import re
from pathlib import Path

import pytest
from starlette.routing import BaseRoute, Mount, Route

from app.api import api_routes
from app.page_rights import PAGES
from app.services import Services
from app.sign_in import OPEN_PATHS, ROUTE_RIGHTS, room_of
from labeling.accounts import RIGHTS

ROOT = Path(__file__).parents[2]
WORD = re.compile(r"`([^`]+)`")


def _table(guide: str, first: str) -> list[list[str]]:
    """Return the rows of the table of a guide whose header begins with these columns."""
    lines = (ROOT / "docs" / guide).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(first))
    rows = []
    for line in [lines[start], *lines[start + 2 :]]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def _addresses(routes: list[BaseRoute], prefix: str = "") -> set[tuple[str, str]]:
    """Return (method, path) of every route."""
    found: set[tuple[str, str]] = set()
    for route in routes:
        if isinstance(route, Mount):
            found |= _addresses(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            found |= {(method, prefix + route.path) for method in (route.methods or set()) - {"HEAD"}}
    return found


def _told_addresses(cell: str) -> set[tuple[str, str]]:
    found = set()
    for part in filter(None, cell.split(", ")):
        methods, path = part.rsplit(" ", 1)
        found |= {(method, path.strip("`")) for method in methods.split()}
    return found


def test_roles__have_the_rights_that_the_guide_tells() -> None:
    head, *rows = _table("operations.md", "| right | what it opens |")
    roles = head[2:]
    told = {WORD.findall(row[0])[0]: {role for role, cell in zip(roles, row[2:], strict=True) if cell == "yes"}
            for row in rows}  # fmt: skip

    assert set(roles) == set(RIGHTS)
    assert {cell for row in rows for cell in row[2:]} == {"yes", "-"}
    assert told == {
        right: {role for role in RIGHTS if right in RIGHTS[role]} for right in frozenset().union(*RIGHTS.values())
    }


def test_addresses__need_the_rights_that_the_guide_tells(services: Services) -> None:
    told = {address: WORD.findall(row[0])[0] for row in _table("security.md", "| right | pages |")[1:]
            for address in _told_addresses(row[2])}  # fmt: skip
    real = {address: ROUTE_RIGHTS[room_of(address[1])] for address in _addresses(api_routes(services))}

    assert len(real) > 25
    assert told == real


def test_pages__need_the_rights_that_the_guide_tells() -> None:
    told = {page: WORD.findall(row[0])[0] for row in _table("security.md", "| right | pages |")[1:]
            for page in row[1].split(", ")}  # fmt: skip

    assert told | {"Settings": None} == {title: right for right, _, title in PAGES}


@pytest.mark.parametrize(("right", "name"), [(right, name) for right, name, _ in PAGES])
def test_pages__ask_for_it_themselves(right: str | None, name: str) -> None:
    """The menu only hides a page: the page itself is what refuses."""
    tree = ast.parse((ROOT / "app" / "views" / f"{name}.py").read_text())
    asked = [
        {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("require", "may")
    ]

    assert asked, "it asks who is looking"
    assert right is None or {right} in asked


def test_pages__what_renews_itself_asks_each_time() -> None:
    """A fragment with a clock of its own runs without the page around it."""
    found = {}
    for path in sorted((ROOT / "app" / "views").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any("fragment" in ast.dump(item) for item in node.decorator_list):
                found[path.stem, node.name] = "attr='require'" in ast.dump(node.body[0])

    assert found
    assert all(found.values()), found


def test_strangers__get_what_the_guide_tells() -> None:
    (line,) = [x for x in (ROOT / "docs" / "security.md").read_text().splitlines() if x.startswith("Strangers get")]

    assert set(WORD.findall(line)) == OPEN_PATHS
