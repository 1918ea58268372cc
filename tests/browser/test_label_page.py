"""A doctor labels in a real browser; nothing is lost, nothing lands on the wrong cell."""

import sqlite3
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.browser
KEYS = {"1": "NILM", "3": "LSIL", "5": "HSIL", "U": "cannot-tell"}
SHOTS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"


def _labels(server) -> list[tuple[str, str]]:
    with sqlite3.connect(f"file:{server.home / 'catalog.sqlite'}?mode=ro", uri=True) as database:
        query = "SELECT cell_id, category FROM labels WHERE annotator = 'ada' ORDER BY id"
        return database.execute(query).fetchall()


def _press(page, number: int) -> list[tuple[str, str]]:
    """Answer cells by keyboard, each as soon as it is on screen; return what was on screen."""
    answered = []
    for index in range(number):
        key, category = list(KEYS.items())[index % len(KEYS)]
        cell = page.get_attribute(".deck", "data-cell")
        answered.append((cell, category))
        page.keyboard.press(key)
        page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
    return answered


def test_sixty_cells_by_keyboard__are_sixty_right_rows(page, server) -> None:
    answered = _press(page, 30)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "label.png")
    answered += _press(page, 30)
    page.wait_for_selector("text=All saved")

    assert _labels(server) == answered
    assert len({cell for cell, _ in answered}) == 60


def test_undo_after_reload__takes_the_last_label_back(page, server) -> None:
    answered = _press(page, 3)
    page.wait_for_selector("text=All saved")
    page.reload()
    page.wait_for_selector(".card.last", timeout=60_000)
    page.wait_for_selector(".deck[data-cell]")
    page.keyboard.press("z")
    page.wait_for_selector(f".deck[data-cell='{answered[-1][0]}']")
    page.wait_for_selector("text=All saved")

    with sqlite3.connect(server.home / "catalog.sqlite") as database:
        assert database.execute("SELECT count(*) FROM undos").fetchone() == (1,)


def test_kill_9__loses_no_acknowledged_label_and_doubles_none(page, server) -> None:
    before = _labels(server)
    answered = _press(page, 5)
    page.wait_for_selector("text=All saved")
    server.kill()
    answered += _press(page, 3)
    page.wait_for_selector("text=NOT SAVED")
    server.start()
    page.wait_for_selector("text=All saved", timeout=60_000)

    assert _labels(server) == before + answered


@pytest.mark.parametrize(
    "path", ["/", "/api/worklist", "/api/recent", "/api/cells/x/image", "/media/x", "/_stcore/host-config"]
)
def test_without_sign_in__every_route_is_closed(server, path: str) -> None:
    assert httpx.get(server.url + path).status_code == 401


def test_wrong_password__is_refused(server) -> None:
    answer = httpx.post(f"{server.url}/login", data={"name": "ada", "password": "wrong"})

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
