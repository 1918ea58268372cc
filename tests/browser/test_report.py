"""The study report prints to a PDF of a few A4 pages, dark screens included, and asks nothing of the network."""

import re
from pathlib import Path

from app.study_report import write_report
from tests.builders import study_of_vectors


def test_report__prints_on_white_a4_pages(browser, tmp_path: Path) -> None:
    services = study_of_vectors(tmp_path / "home")
    write_report(services, tmp_path / "study.html")
    services.database.close()
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "study.html").as_uri())
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(media="print")
    printed = page.evaluate("getComputedStyle(document.body).backgroundColor")
    pdf = page.pdf(prefer_css_page_size=True)
    context.close()
    sizes = {(float(a), float(b)) for a, b in re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)}

    assert asked == [(tmp_path / "study.html").as_uri()]
    assert (dark, printed) == ("rgb(21, 24, 30)", "rgb(255, 255, 255)")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 10
    assert all(abs(a - 595) < 2 and abs(b - 842) < 2 for a, b in sizes), "A4"
