"""What workers are given in tests: small, so that a worker starts at once."""

import os
import signal
from pathlib import Path


def double(number: int) -> int:
    return 2 * number


def die_once(path: Path) -> str:
    """Die as under the kernel's killer for memory, before anything was said; the second time, answer."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return path.name
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number
