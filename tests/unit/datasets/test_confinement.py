"""What a confined process can no longer do, tried in a process of its own."""

import json
import subprocess
import sys

import pytest

TRIES = """
import json, os, socket, sys
from datasets.confinement import confine

def outcome(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

folder, port = sys.argv[1], int(sys.argv[2])
acts = {
    "read": lambda: open(os.path.join(folder, "there")).read(),
    "write": lambda: open(os.path.join(folder, "there"), "a").write("x"),
    "make": lambda: open(os.path.join(folder, "new"), "w"),
    "remove": lambda: os.remove(os.path.join(folder, "there")),
    "run": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "connect": lambda: socket.create_connection(("127.0.0.1", port), timeout=2).close(),
}
before = {name: outcome(acts[name]) for name in ("write", "run", "connect")}
version = confine()
print(json.dumps({"version": version, "before": before, "after": {name: outcome(act) for name, act in acts.items()}}))
"""


@pytest.fixture
def tried(tmp_path):
    import socket

    (tmp_path / "there").write_text("kept")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = subprocess.run([sys.executable, "-c", TRIES, str(tmp_path), str(port)], capture_output=True, text=True,
                              check=True)  # fmt: skip
    result = json.loads(done.stdout)
    if result["version"] == 0:
        pytest.skip("this kernel has no Landlock")
    return result


def test_confined__reads_and_nothing_else(tried, tmp_path):
    after = tried["after"]

    assert set(tried["before"].values()) == {"done"}
    assert after["read"] == "done"
    assert {name: after[name] for name in ("write", "make", "remove", "run")} == dict.fromkeys(
        ("write", "make", "remove", "run"), "PermissionError"
    )
    assert (tmp_path / "there").read_text() == "keptx"
    assert not (tmp_path / "new").exists()


def test_confined__connects_to_nobody(tried):
    if tried["version"] < 4:
        pytest.skip("this kernel's Landlock knows no network")
    assert tried["after"]["connect"] == "PermissionError"
