"""A study from files to a table with the product's own commands, for a process that has no network.

    python -m tests.journey FOLDER

Prints one JSON object: what the kernel says about the network here, and how far the journey went.
"""

import contextlib
import fcntl
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from app.cli import cytojepa
from app.services import Services
from datasets.demo_slides import DRAWN_MPP, write_drawn_slides
from labeling import accounts
from tests.waiting import free_port

PASSWORD = "a long password"
OUTSIDE = ("192.0.2.1", 9)
"""An address that documents use and nobody has."""
SMALL = ["image_px=64", "dim=48", "depth=2", "heads=3", "predictor_dim=24", "predictor_depth=1", "predictor_heads=3",
         "batch_size=8"]  # fmt: skip
_SET_FLAGS, _IS_UP = 0x8914, 1


def bring_loopback_up() -> None:
    """Switch `lo` on: a new namespace has it, but down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _IS_UP))


def reach(address: tuple[str, int]) -> str:
    """Return what a connection to an address comes to: "connected", or the error's name."""
    with socket.socket() as caller:
        caller.settimeout(3)
        try:
            caller.connect(address)
        except OSError as error:
            return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return "connected"


def say(home: Path, *words: str) -> dict[str, Any]:
    """Run a verb in this process and return its JSON object."""
    arguments, told = [*words, "--home", str(home), "--json"], io.StringIO()
    with contextlib.redirect_stdout(told):
        cytojepa.main(arguments, standalone_mode=False, obj=arguments)
    found: dict[str, Any] = json.loads(told.getvalue())
    return found


def label_over_http(home: Path, folder: Path) -> dict[str, Any]:
    """Serve, sign in, fetch a cell with its picture, label it; return what the server answered."""
    port = free_port()
    command = [sys.executable, "-m", "app.cli", "serve", "--home", str(home), "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"accept": "text/html"}, timeout=30) as client:
            return _label(home, client) | {"other_addresses": reach(("127.0.0.2", port))}
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _label(home: Path, client: httpx.Client) -> dict[str, Any]:
    for _ in range(300):
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health").status_code == 200:
                break
        time.sleep(0.2)
    client.post("/login", data={"name": "ada", "password": PASSWORD})
    services = Services.open(home)
    person = accounts.check_sign_in(services.database, client.cookies["cytojepa_session"])
    services.database.close()
    assert person is not None
    item = client.get("/api/v1/worklist", params={"limit": 1}).json()["items"][0]
    event = {"kind": "label", "key": "one", "cell": item["cell"], "category": "HSIL"}
    told = client.post("/api/v1/labels", json={"events": [event]}, headers={"x-csrf-token": person.csrf_token}).json()
    pages = ("/", "/_stcore/host-config", "/_stcore/health", "/progress", f"/api/v1/cells/{item['cell']}/image")
    return {
        "receipts": told["receipts"],
        "pages": {path.split("/CE-")[0]: client.get(path).status_code for path in pages},
    }


def go(folder: Path) -> dict[str, Any]:
    """Make the whole journey in a folder."""
    home, steps = folder / "home", {}
    write_drawn_slides(folder / "drawn", seed=7, num_slides=1)
    steps["ingest"] = say(home, "ingest", str(folder / "drawn"), f"--mpp={DRAWN_MPP}")
    steps["pretrain"] = say(home, "pretrain", "--steps=2", *(f"--set={pair}" for pair in SMALL))
    steps["embed"] = say(home, "embed")
    services = Services.open(home)
    accounts.add_account(services.database, "ada", "admin", PASSWORD)
    services.database.close()
    steps["label"] = label_over_http(home, folder)
    steps["export"] = say(home, "export", "csv", str(folder / "labels.csv"))
    steps["verify"] = say(home, "verify")
    return steps


if __name__ == "__main__":
    bring_loopback_up()
    network = {
        "interfaces": [name for _, name in socket.if_nameindex()],
        "outside": reach(OUTSIDE),
        "parent": reach(("127.0.0.1", int(sys.argv[2]))),
    }
    sys.stdout.write(json.dumps({"network": network, "journey": go(Path(sys.argv[1]))}))
