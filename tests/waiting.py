"""Waiting for the very thing that a test asserts, and ports that nobody else takes meanwhile."""

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

T = TypeVar("T")
PATIENCE_SECONDS = 150.0
"""For what takes a second or two: a busy machine may need a hundred times that."""
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_PORT = 20_000


def until(look: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """Return what `look` sees once it is true; fail with what it saw last."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > end:
            pytest.fail(f"not reached in {seconds:.0f} s; seen last: {seen!r}")
        time.sleep(0.1)
    return seen


def until_served(url: str, child: subprocess.Popen[bytes], log: Path, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a `cytojepa serve` answers; fail with its log when it ends before."""

    def answers_or_has_ended() -> bool:
        try:
            return httpx.get(f"{url}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return child.poll() is not None

    until(answers_or_has_ended, seconds)
    if child.poll() is not None:
        pytest.fail(log.read_text())


def free_port() -> int:
    """Return a port that is free, from below those that the kernel gives to outgoing connections.

    A server that is started with it takes seconds until it listens; a port of the kernel's own range can be somebody's
    by then.
    """
    last = int(_OUTGOING.read_text().split()[0]) if _OUTGOING.exists() else 32_768
    generator = random.Random(os.urandom(8))
    while True:
        port = generator.randrange(_FIRST_PORT, max(last, _FIRST_PORT + 1000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
