"""A data manager starts, watches, stops and resumes; a job that is killed leaves the doctor's page alone."""

import os
import signal
import time

import pytest

from app import job_files
from app.services import Services
from labeling import accounts
from tests.browser.conftest import PATIENCE_MS
from tests.browser_server import PASSWORD
from tests.waiting import until

# A job steps back behind the pages: on a busy machine it is slow.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def manager(server):
    services = Services.open(server.home)
    accounts.add_account(services.database, "mara", "data-manager", PASSWORD)
    services.database.close()
    yield "mara"
    # Jobs outlive their server: a test that fails would leave them at work.
    while left := [job for job in job_files.jobs(server.home) if job.is_alive and job.kind != "refit"]:
        for job in left:
            if job.pid is not None:
                os.kill(job.pid, signal.SIGKILL)
        time.sleep(0.2)


def _newest(server, kind: str) -> job_files.Job | None:
    return next((job for job in job_files.jobs(server.home) if job.kind == kind), None)


def _start(page, tab: str, button: str) -> None:
    page.wait_for_selector("text=Start a job")
    if not page.locator(f"[role=tab]:has-text('{tab}')").is_visible():
        page.click("summary:has-text('Start a job')")
    page.click(f"[role=tab]:has-text('{tab}')")
    page.click(f"button:has-text('{button}'):visible")


@pytest.mark.slow
def test_killed_job__the_doctor_labels_on_and_the_page_tells(sign_in, server, manager) -> None:
    page = sign_in(manager, "/jobs")
    _start(page, "Encoder", "Pretrain")
    job = until(lambda: (j := _newest(server, "pretrain")) and j.stage == "step" and j)
    page.wait_for_selector("text=of 1,000 steps")
    doctor = sign_in("ada")
    doctor.wait_for_selector(".deck[data-cell]")
    for number in range(6):
        before = doctor.get_attribute(".deck", "data-cell")
        doctor.keyboard.press("1")
        doctor.wait_for_selector(f".deck[data-cell]:not([data-cell='{before}'])")
        if number == 2:
            os.kill(job.pid, signal.SIGKILL)
    until(lambda: len(server.labels("ada")) == 6)
    page.wait_for_selector("[data-testid=stAlertContentError]:has-text('gone without a word')")
    page.click("button:has-text('Go on')")
    again = until(lambda: (j := _newest(server, "pretrain")) and j.id != job.id and j.stage == "step" and j)
    page.click("button:has(p:text-is('Stop'))")
    stopped = until(lambda: (j := _newest(server, "pretrain")) and not j.is_alive and j)

    assert (again.by, stopped.state) == (manager, "stopped")
    page.wait_for_selector("text=stopped")


def test_refit__is_listed_and_starts_anew(sign_in, server, manager) -> None:
    page = sign_in(manager, "/jobs", color_scheme="dark")
    page.wait_for_selector("text=Beside the pages")
    first = until(lambda: (j := _newest(server, "refit")) and j.state == "running" and j)
    page.click("button:has-text('Restart')")
    until(lambda: (j := _newest(server, "refit")) and j.id != first.id and j.state == "running")


def test_annotator__does_not_see_the_page(sign_in) -> None:
    page = sign_in("ben", "/jobs")
    page.wait_for_selector("text=The role annotator does not see this page.")


def test_revoked__an_open_page_is_cut_off(sign_in, server, manager) -> None:
    page = sign_in(manager)
    page.wait_for_selector("text=Sign out")
    sockets = []
    page.on("websocket", lambda opened: sockets.append(opened))
    page.goto(f"{server.url}/jobs")
    page.wait_for_selector("text=Beside the pages")
    socket = sockets[-1]
    assert not socket.is_closed(), "the list renews itself through it"
    services = Services.open(server.home)
    accounts.disable(services.database, manager)
    services.database.close()
    if not socket.is_closed():
        socket.wait_for_event("close", timeout=PATIENCE_MS)
    page.goto(f"{server.url}/jobs")
    page.wait_for_url("**/login?next=%2Fjobs")
