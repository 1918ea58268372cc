"""A browser that is killed while answers wait in it, as when the computer goes off: the next start sends them."""

import os
import shutil
import signal
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Error

from tests.browser.conftest import FLAGS, PATIENCE_MS
from tests.browser_server import PASSWORD
from tests.waiting import until

pytestmark = pytest.mark.browser
LABELS = "**/api/v1/labels"
ON_DISK = """() => new Promise((done, fail) => {
  const asked = indexedDB.open("cytojepa");
  asked.onerror = () => fail(asked.error);
  asked.onsuccess = () => {
    const count = asked.result.transaction("waiting").objectStore("waiting").count();
    count.onsuccess = () => { asked.result.close(); done(count.result); };
  };
})"""


@pytest.fixture
def start(browser, server, tmp_path):
    """Return a context in which a browser with a profile on the disk shows the page Label."""

    @contextmanager
    def started():
        chromium = browser.browser_type.launch_persistent_context(
            tmp_path / "profile", executable_path=shutil.which("chromium") or "chromium", args=FLAGS
        )
        page = chromium.pages[0]
        page.set_default_timeout(PATIENCE_MS)
        page.request.post(f"{server.url}/login", form={"name": "ada", "password": PASSWORD}, max_redirects=0)
        page.goto(server.url)
        page.wait_for_selector(".deck[data-cell]")
        yield page
        with suppress(Error):  # the killed one is gone
            chromium.close()

    return started


def _kill(profile: Path) -> None:
    """Kill the browser of a profile with all its processes."""
    ours = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(profile) in (folder / "cmdline").read_text():
                ours.append(int(folder.name))
        except OSError:
            continue
    for number in ours:
        os.kill(number, signal.SIGKILL)
    assert ours
    until(lambda: not any(Path(f"/proc/{number}/cmdline").exists() for number in ours))


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the browser's processes are found through /proc")
def test_answers_that_wait__are_sent_by_the_next_browser(start, server, tmp_path) -> None:
    with start() as page:
        page.route(LABELS, lambda route: route.abort())
        answered = []
        for key, category in {"1": "NILM", "5": "HSIL", "3": "LSIL"}.items():
            cell = page.get_attribute(".deck", "data-cell")
            page.keyboard.press(key)
            page.wait_for_selector(f".deck[data-cell]:not([data-cell='{cell}'])")
            answered.append((cell, category))
        until(lambda: page.evaluate(ON_DISK) == len(answered))
        _kill(tmp_path / "profile")
    assert server.labels("ada") == []

    with start() as page:
        until(lambda: server.labels("ada") == answered)
        page.keyboard.press("z")  # the last answer, though this browser has not given it
        page.wait_for_selector(f".deck[data-cell='{answered[-1][0]}']")
        page.wait_for_selector(".deck[data-waiting='0']")
        until(lambda: page.evaluate(ON_DISK) == 0)

    assert server.labels("ada") == answered
    undone = "SELECT cell_id FROM labels WHERE id IN (SELECT label_id FROM undos)"
    assert server.rows(undone) == [answered[-1][:1]]
