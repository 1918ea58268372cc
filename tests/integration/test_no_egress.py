"""Nothing connects out: the whole journey runs where there is no network, and what it calls is written down."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journey import OUTSIDE, reach

ROOT = Path(__file__).parents[2]
NO_NETWORK = ("unshare", "--map-root-user", "--net")
WATCH = """
import json, os, sys
log = open(os.environ["WATCHED_CALLS"], "a", buffering=1)
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        log.write(json.dumps([event, str(arguments[1])]) + "\\n")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request"):
        log.write(json.dumps([event, str(arguments[0])]) + "\\n")
sys.addaudithook(watch)
"""
"""Read by every Python process of the journey at its start."""


def _is_local(what: str) -> bool:
    # An address is the text of ("127.0.0.1", 80), a name that is looked up or a socket's file stands alone.
    return re.match(r"(\('|b')?(127\.|::1|localhost|/|None)", what) is not None


def _away(log: Path) -> list[str]:
    """Return what was called outside the machine, or looked up."""
    return [what for _, what in map(json.loads, log.read_text().splitlines()) if not _is_local(what)]


def _environment(folder: Path) -> dict[str, str]:
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(WATCH)
    return {**os.environ, "PYTHONPATH": str(folder / "watch"), "WATCHED_CALLS": str(folder / "calls")}


def _why_not() -> str:
    """Return what stands in the way of a process without a network; empty where nothing does."""
    if shutil.which(NO_NETWORK[0]) is None:
        return "no `unshare` here (util-linux)"
    tried = subprocess.run([*NO_NETWORK, "true"], capture_output=True, text=True, check=False)
    return f"the kernel gives no network namespace: {tried.stderr.strip()}" if tried.returncode else ""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the journey told, the calls that it made outside, and what the same calls come to out here."""
    folder, why_not = tmp_path_factory.mktemp("journey"), _why_not()
    with socket.create_server(("127.0.0.1", 0)) as here:
        address = here.getsockname()
        outside_it = reach(address)
        command = [*(() if why_not else NO_NETWORK), sys.executable, "-m", "tests.journey", folder, str(address[1])]
        ran = subprocess.run(command, cwd=ROOT, env=_environment(folder), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    return {**told, "why_not": why_not, "outside_it": outside_it, "away": _away(folder / "calls")}


def test_journey__every_step_arrives(made) -> None:
    steps = made["journey"]

    assert steps["ingest"]["cells"] > 10
    assert (steps["ingest"]["refused"], steps["pretrain"]["steps"]) == ([], 2)
    assert steps["embed"]["cells"] == steps["ingest"]["cells"]
    assert [receipt["accepted"] for receipt in steps["label"]["receipts"]] == [True]
    assert set(steps["label"]["pages"].values()) == {200}, steps["label"]["pages"]
    assert steps["export"]["rows"] > steps["ingest"]["labels"]
    assert steps["verify"]["problems"] == []


def test_journey__went_where_there_is_no_network(made) -> None:
    if made["why_not"]:
        pytest.skip(made["why_not"])
    network = made["network"]

    assert network["interfaces"] == ["lo"]
    assert network["outside"] == "Network is unreachable"
    # The control: a listener of this machine answers outside, and in there the same call finds nobody.
    assert (made["outside_it"], network["parent"]) == ("connected", "Connection refused")


def test_journey__nothing_has_even_tried(made) -> None:
    assert made["away"] == [str(OUTSIDE)], "its own control, and nothing else"


def test_serve__listens_to_the_named_address_only(made) -> None:
    # The other loopback addresses stand for those of the network.
    assert made["journey"]["label"]["other_addresses"] == "Connection refused"
