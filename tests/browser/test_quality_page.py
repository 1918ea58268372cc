"""What stands out, with its picture and the way to do something about it; each role sees its part."""

import pytest
from playwright.sync_api import expect

from app.agreement_figures import FIGURES_FILE
from tests.browser.conftest import script_over
from tests.builders import add_doubt
from tests.waiting import until

pytestmark = pytest.mark.browser
NUM_SLIDES, HAS_FINDINGS = 2, True
READY = "text=All measures of the slides"


@pytest.fixture(scope="module")
def doubted(server) -> str:
    """The cell whose answer is in doubt, once the server has written its own figures: once, as no label comes."""
    until((server.home / FIGURES_FILE).exists)
    return add_doubt(server.home)


def test_adjudicator__sees_contradictions_and_decides_a_doubted_answer(sign_in, server, doubted: str) -> None:
    page = sign_in("vera", "/quality")
    page.wait_for_selector(READY)
    page.wait_for_selector("text=Different answers")
    page.wait_for_selector("text=share 6 cells")
    page.wait_for_selector(f"figure:has-text('{doubted}')")
    page.wait_for_function(
        "(cells => cells.length && cells.every(i => i.naturalWidth > 0))"
        "([...document.images].filter(i => i.alt.startsWith('Cell')))"
    )

    page.click(f"figure:has-text('LSIL') a[href='/review?cell={doubted}']")
    page.wait_for_selector(f".review[data-cell='{doubted}']")
    page.keyboard.press("3")
    page.wait_for_selector(".review[data-waiting='0'][data-open='0']")
    assert server.rows("SELECT cell_id, category FROM verdicts") == [(doubted, "LSIL")]

    page.goto(f"{server.url}/quality")
    page.wait_for_selector("text=Answers worth a second look: 0")


def test_data_manager__sees_pictures_and_no_answers(sign_in, doubted: str) -> None:
    page = sign_in("dora", "/quality")
    page.wait_for_selector(READY)
    page.wait_for_selector("button:has-text('Measure')")
    expect(page.locator("text=Cells that look the same")).to_have_count(1)
    script_over(page)
    for answers in ("text=Different answers", "text=second look", "a[href^='/review']"):
        assert page.locator(answers).count() == 0, answers

    page.locator("a[href^='/slide?cell=']").first.click()
    page.wait_for_selector(".slideview[data-cells]:not([data-painted=''])[data-painted]")


def test_annotator__does_not_see_the_page(sign_in) -> None:
    page = sign_in("ada", "/slides")
    page.wait_for_selector(".cj-cards img")
    script_over(page)
    assert page.locator("a[href$='/quality']").count() == 0
    page.goto(page.url.replace("/slides", "/quality"))
    page.wait_for_selector("text=The role annotator does not see this page.")
