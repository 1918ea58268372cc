"""Ctrl-C and a polite kill as a wish: the run ends after the step, with its state saved."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

LOG = logging.getLogger(__name__)


class Wish:
    """Whether somebody wants the run to end; called, it answers."""

    def __init__(self) -> None:
        self.is_made = False

    def __call__(self) -> bool:
        """Return whether the run shall end."""
        return self.is_made


@contextmanager
def stop_on_signal() -> Iterator[Wish]:
    """Turn the first SIGINT or SIGTERM into a wish to stop; the second one interrupts."""
    wish = Wish()

    def hear(_number: int, _frame: object) -> None:
        if wish.is_made:
            raise KeyboardInterrupt
        wish.is_made = True
        LOG.warning("Stopping after this step; the checkpoint is being saved.")

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
