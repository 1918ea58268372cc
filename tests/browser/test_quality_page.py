"""What stands out, with its picture and the way to do something about it; each role sees its part."""

import time

import pytest

from app.agreement_figures import FIGURES_FILE
from tests.builders import add_doubt, add_findings

pytestmark = pytest.mark.browser
NUM_SLIDES = 2
READY = "text=All measures of the slides"


@pytest.fixture(scope="module")
def doubted(server) -> str:
    """The cell whose answer is in doubt, once the server has written its own figures of all cells."""
    add_findings(server.home, server.home.parent / "drawn")
    figures = server.home / FIGURES_FILE
    figures.unlink(missing_ok=True)
    until = time.monotonic() + 90
    while not figures.exists() and time.monotonic() < until:
        time.sleep(0.2)
    return add_doubt(server.home)


def test_adjudicator__sees_contradictions_and_decides_a_doubted_answer(sign_in, server, doubted: str) -> None:
    page = sign_in("vera", "/quality")
    page.wait_for_selector(READY)
    page.wait_for_selector("text=Different answers")
    page.wait_for_selector("text=share 6 cells")
    page.wait_for_selector(f"figure:has-text('{doubted}')")
    page.wait_for_function("[...document.images].filter(i => i.alt.startsWith('Cell')).every(i => i.naturalWidth > 0)")

    page.click(f"figure:has-text('LSIL') a[href='/review?cell={doubted}']")
    page.wait_for_selector(f".review[data-cell='{doubted}']")
    page.keyboard.press("3")
    page.wait_for_selector(".review[data-waiting='0'][data-open='0']")
    assert server.rows("SELECT cell_id, category FROM verdicts") == [(doubted, "LSIL")]

    page.goto(f"{server.url}/quality")
    page.wait_for_selector(READY)
    assert page.locator("text=Answers worth a second look: 0").count() == 1


def test_data_manager__sees_pictures_and_no_answers(sign_in, doubted: str) -> None:
    page = sign_in("dora", "/quality")
    page.wait_for_selector(READY)
    page.wait_for_selector("button:has-text('Measure')")
    assert page.locator("text=Cells that look the same").count() == 1
    assert page.locator("text=Different answers, text=second look, a[href^='/review']").count() == 0

    page.locator("a[href^='/slide?cell=']").first.click()
    page.wait_for_selector(".slideview[data-cells]:not([data-painted=''])[data-painted]")


def test_annotator__does_not_see_the_page(sign_in) -> None:
    page = sign_in("ada", "/slides")
    page.wait_for_selector(".cj-cards img")
    assert page.locator("a[href$='/quality']").count() == 0
    page.goto(page.url.replace("/slides", "/quality"))
    page.wait_for_selector(".deck[data-cell]")
