"""A doctor signs in at the hospital, labels a cell, and is out when the account is disabled: all in a browser."""

import pytest

from app.services import Services
from app.settings import SETTINGS_FILE
from labeling import accounts
from tests.browser.conftest import PATIENCE_MS
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
