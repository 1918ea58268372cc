"""Every page for every role: it opens without a fault, shuts nobody out, and is drawn for the docs."""

import json
import re

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe

from app.words import words
from tests.browser.conftest import SLIDE_READY, script_over
from tests.builders import add_disputes, add_doubt
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.browser
NUM_SLIDES, HAS_FINDINGS = 4, True

PAGES = {
    "label": ("/", ".deck[data-cell]"),
    "gallery": ("/gallery", ".gallery[data-ready]"),
    "map": ("/map", ".map:not([data-ready='0'])[data-ready]"),
    "slide": ("/slide", SLIDE_READY),
    "slides": ("/slides", ".cj-cards img"),
    "quality": ("/quality", "text=All measures of the slides"),
    "progress": ("/progress", "text=Research use only"),
    "bias": ("/bias", "text=Research use only"),
    "review": ("/review", ".review[data-cell][data-open='3'] .opinion"),
    "export": ("/export", "text=Write the file"),
    "runs": ("/runs", "text=Research use only"),
    "jobs": ("/jobs", "text=Start a job"),
    "audit": ("/audit", "text=The hash of the newest event"),
    "team": ("/team", "text=New account"),
    "study": ("/study", "text=Set this order"),
    "settings": ("/settings", "text=Research use only"),
}
_IS_DRAWN = """scheme => {
  const [red] = getComputedStyle(document.querySelector(".stApp")).backgroundColor.match(/\\d+/g);
  return (scheme === "light") === (red > 128);
}"""
ALLOWED = {
    "ada": ("label", "gallery", "map", "slide", "slides", "progress", "settings"),
    "vera": (
        "label",
        "gallery",
        "map",
        "slide",
        "slides",
        "quality",
        "progress",
        "settings",
        "bias",
        "export",
        "review",
    ),
    "root": tuple(PAGES),
    "dora": ("slide", "slides", "quality", "progress", "export", "runs", "jobs", "study", "settings"),
    "otto": ("progress", "bias", "audit", "settings"),
}
SEEN_BY = {"runs": "root", "jobs": "root", "audit": "root", "team": "root", "export": "dora", "study": "root"}
# Faults of Streamlit's own frame, which this program does not draw.
_NOT_OURS = {"landmark-one-main", "region", "page-has-heading-one", "meta-viewport", "bypass"}


@pytest.fixture(scope="module", autouse=True)
def _doubts(server) -> None:
    add_disputes(server.home)
    add_doubt(server.home)


def _watched(page) -> list[str]:
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(f"{line.text} {line.location}") if line.type == "error" else None)
    return faults


@pytest.mark.parametrize("name", ALLOWED)
def test_pages_of_a_role__open_without_a_fault(sign_in, server, name: str) -> None:
    page = sign_in(name)
    page.wait_for_selector(PAGES["label"][1] if "label" in ALLOWED[name] else "text=Welcome")
    faults = _watched(page)
    for title in ALLOWED[name]:
        path, ready = PAGES[title]
        page.goto(server.url + path)
        page.wait_for_selector(ready)
        script_over(page)
        assert page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count() == 0
    for title in set(PAGES) - set(ALLOWED[name]):
        assert page.get_by_test_id("stTopNavLink").filter(has_text=title.capitalize()).count() == 0
    assert faults == []


def test_keyboard__shows_where_it_is_in_the_menu(sign_in) -> None:
    page = sign_in("ada", "/settings")
    page.wait_for_selector(PAGES["settings"][1])
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")

    focus = "[document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle]"
    assert page.evaluate(focus) == ["A", "solid"]


# Words that no German sentence has; names of people, files and commands may have them.
_ENGLISH = re.compile(r"\b(the|of|and|with|from|this|that|which|are|has|have|been|not|your|to|is|by)\b")
_SAID = """() => {
  const said = new Set(), told = ["aria-label", "title", "placeholder", "alt"];
  const look = node => {
    if (node.nodeType === Node.TEXT_NODE) return said.add(node.data.trim());
    if (/^(STYLE|SCRIPT|CODE|CANVAS)$/.test(node.nodeName)) return;
    for (const name of told) said.add(node.getAttribute?.(name) || "");
    [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes].forEach(look);
  };
  look(document.querySelector("[data-testid=stMain]"));
  document.querySelectorAll("[data-testid=stTopNavLink]").forEach(look);
  const streamlits = ["", "Link to heading", "Copy to clipboard"];
  return [...said].filter(text => !streamlits.includes(text));
}"""
_READY_IN_GERMAN = {
    "progress": "text=Nur f\u00fcr die Forschung", "bias": "text=Nur f\u00fcr die Forschung",
    "export": "text=Datei schreiben", "quality": "text=Alle Ma\u00dfe", "runs": "text=Noch kein Lauf",
    "jobs": "text=Eine Aufgabe starten", "audit": "text=Der Hash des neuesten", "team": "text=Neues Konto",
    "study": "text=Diese Einstellungen schreiben", "settings": "text=Nur f\u00fcr die Forschung",
}  # fmt: skip


def test_pages_in_german__say_nothing_in_english(sign_in, server) -> None:
    page = sign_in("root", locale="de-DE")
    page.wait_for_selector(PAGES["label"][1])
    found = {}
    for title, (path, ready) in [*PAGES.items(), ("tour", ("/tour", ".tour[data-step='0']"))]:
        page.goto(server.url + path)
        page.wait_for_selector(_READY_IN_GERMAN.get(title, ready))
        script_over(page)
        if title in ("label", "gallery", "slide"):
            page.keyboard.press("?")
            page.wait_for_selector(".sheet")
        english = words("de").table
        said = [text for text in page.evaluate(_SAID) if not text.startswith(("{", "[data-testid"))]
        found[title] = [text for text in said if _ENGLISH.search(text) or english.get(text, text) != text]

    said_in_english = {title: texts for title, texts in found.items() if texts}
    assert not said_in_english, said_in_english


@pytest.mark.parametrize("title", PAGES)
def test_page__has_no_serious_fault_for_axe(sign_in, server, shots, title: str) -> None:
    path, ready = PAGES[title]
    if title == "quality":
        add_doubt(server.home)  # the server's own figures, which come when it has time, know no doubt
    page = sign_in(SEEN_BY.get(title, "vera"), path, color_scheme="light")
    page.wait_for_selector(ready)
    script_over(page)
    if title == "label":
        for key in "1351":
            cell = page.get_attribute(".deck", "data-cell")
            page.keyboard.press(key)
            page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
        page.wait_for_selector(".deck[data-waiting='0']")
    found = {}
    for scheme in ("light", "dark"):
        _redraw(page, scheme)
        found[scheme] = _serious_faults(page)
        page.screenshot(path=shots / f"{title}{'' if scheme == 'light' else '-dark'}.jpg", type="jpeg", quality=82)

    assert found == {"light": [], "dark": []}


def _redraw(page, scheme: str) -> None:
    """Let the system be light or dark, and wait until the page follows."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(_IS_DRAWN, arg=scheme)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)  # charts are drawn anew; nothing tells when they are


def _serious_faults(page) -> list[tuple]:
    return [
        (v["id"], [node["target"] for node in v["nodes"]][:5], v["nodes"][0]["failureSummary"][:300])
        for v in Axe().run(page).response["violations"]
        if v["impact"] in ("serious", "critical") and v["id"] not in _NOT_OURS
    ]


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/worklist", "/api/v1/recent", "/api/v1/cells/x/image", "/api/v1/cells/x/wide", "/api/atlas",
     "/api/gallery", "/api/references", "/api/cases", "/media/x", "/_stcore/host-config"],
)  # fmt: skip
def test_without_sign_in__every_route_is_closed(server, path: str) -> None:
    assert httpx.get(server.url + path, timeout=PATIENCE_SECONDS).status_code == 401


def test_wrong_password__is_refused(server) -> None:
    wrong = {"name": "ada", "password": "wrong"}
    answer = httpx.post(f"{server.url}/login", data=wrong, timeout=PATIENCE_SECONDS)

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_export__writes_what_the_filters_leave_and_tells_it(sign_in, server) -> None:
    page = sign_in("dora", "/export")
    page.wait_for_selector("text=Write the file")
    page.get_by_label("Only cells where").click()
    page.get_by_role("option", name="doctors differ").click()
    page.locator("[data-testid=stDateInput] [role=spinbutton]").first.click()
    page.keyboard.type("20200102", delay=60)
    page.keyboard.press("Escape")
    page.click("text=Write the file")
    page.wait_for_selector("text=/^[0-9]+ rows[.] The file is the first/")

    told = [json.loads(body) for (body,) in server.rows("SELECT body FROM events ORDER BY seq")]
    facts = next(event["facts"] for event in reversed(told) if event["kind"] == "labels exported")
    assert (facts["agreement"], facts["since"]) == ("differ", "2020-01-02T00:00:00+00:00")
