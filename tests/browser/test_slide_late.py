"""The slide view while slide, viewer or cells are on their way: no key is dropped, nothing false is said."""

import pytest

from tests.browser.conftest import Held, next_on_slide

pytestmark = pytest.mark.browser
ALL_SAVED = ".slideview[data-waiting='0']"


@pytest.mark.parametrize("late", ["**/api/slide-cells/*", "**/api/slides/viewer.js*"])
def test_keys_while_the_slide_is_on_its_way__follow_once_it_is_here(slide, server, late) -> None:
    next_on_slide(slide)
    slide.keyboard.press("1")
    slide.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='1']")
    before = server.labels("ada")
    held = Held(slide, late)
    slide.reload()
    held.wait()
    for key in "nzn":
        slide.keyboard.press(key)
    slide.wait_for_selector("text=The slide is still on its way; what you pressed follows.")
    slide.keyboard.press("1")
    slide.wait_for_selector("text=Click a ring first, then press 1")
    held.let_go()
    slide.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='1'][data-claimed='{before[-1][0]}']")  # the step back
    slide.keyboard.press("5")
    slide.wait_for_selector(f"{ALL_SAVED}[data-acknowledged='2']")

    assert server.labels("ada") == [*before, (before[-1][0], "HSIL")]


def test_cells_that_did_not_arrive__are_asked_for_again_by_the_key(slide) -> None:
    slide.route("**/api/slide-cells/*", lambda route: route.abort())
    slide.reload()
    slide.wait_for_selector("text=The cells of this slide did not arrive: The server did not answer. N tries again.")
    slide.unroute("**/api/slide-cells/*")
    slide.keyboard.press("n")
    slide.wait_for_selector(".slideview[data-claimed]")
