"""Sign-ins in a browser: at the hospital, until the account is disabled; and one that was left alone for too long."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app.services import Services
from app.settings import SETTINGS_FILE
from datasets.db import utc_now
from labeling import accounts
from labeling.records import SignIn
from tests.browser.conftest import PATIENCE_MS, fill_door
from tests.browser_server import Server
from tests.builders import drawn_study
from tests.oidc_provider import SECRET, Provider, settings_text

pytestmark = pytest.mark.browser


def test_sign_on__from_the_login_page_to_a_label_and_out(browser, tmp_path) -> None:
    home = tmp_path / "home"
    drawn_study(home, tmp_path / "drawn", 1).database.close()
    running = Server(home)
    with Provider() as provider:
        (home / SETTINGS_FILE).write_text(settings_text(provider.issuer, running.url))
        (home / "sign-on.secret").write_text(SECRET)
        (home / "sign-on.secret").chmod(0o600)
        running.start()
        try:
            page = browser.new_page(color_scheme="dark")
            page.set_default_timeout(PATIENCE_MS)
            page.goto(running.url)
            page.click("text=Sign in with the hospital")
            page.wait_for_selector(".deck[data-cell]")
            page.wait_for_selector(".who:has-text('h.weber')")
            before = page.get_attribute(".deck", "data-cell")
            page.keyboard.press("1")
            page.wait_for_selector(f".deck[data-cell]:not([data-cell='{before}'])")
            page.wait_for_selector(".deck[data-waiting='0']")
            services = Services.open(home)
            accounts.disable(services.database, "h.weber")
            services.database.close()
            page.goto(running.url)
            page.wait_for_url(lambda url: url.endswith("/login"))
            page.click("text=Sign in with the hospital")
            page.wait_for_selector("[role=alert]:has-text('not enabled')")
        finally:
            running.kill()

    assert [cell for cell, _ in running.labels("h.weber")] == [before]


def test_forty_minutes_away__lead_to_the_door_and_back_to_the_page_with_the_answer(sign_in, server) -> None:
    page = sign_in("ada", "/slide")
    page.wait_for_selector(".slideview[data-cells]:not([data-cells=''])")
    page.keyboard.press("n")
    page.wait_for_selector(".slideview[data-claimed]")
    cell = page.get_attribute(".slideview", "data-claimed")
    services = Services.open(server.home)
    with services.database.write() as session:
        session.execute(update(SignIn).values(seen_at=utc_now() - timedelta(minutes=40)))
    services.database.close()
    page.keyboard.press("5")
    page.wait_for_url("**/login?*locked=1")
    page.wait_for_selector("text=What you have answered is kept")
    fill_door(page, "ada")
    page.wait_for_selector(".slideview[data-waiting='0']")

    assert page.url == f"{server.url}/slide"
    assert server.labels("ada") == [(cell, "HSIL")]
