"""Writers of one process wait in line: answers of doctors before everything else, each kind in its order."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

MOST_URGENT = 20
"""After so many urgent turns in a row somebody else gets one, if anybody waits."""


class Line:
    """A lock that is handed over in order, the urgent first; a plain lock lets late comers barge in."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._is_taken = False
        self._urgent: deque[threading.Lock] = deque()
        self._others: deque[threading.Lock] = deque()
        self._in_row = 0

    @contextmanager
    def turn(self, *, is_urgent: bool) -> Iterator[None]:
        """Wait for a turn, and have it as long as the block lasts."""
        self._enter(self._urgent if is_urgent else self._others)
        try:
            yield
        finally:
            self._leave()

    def let_urgent_pass(self) -> None:
        """Wait for a turn, only to give it up, where urgent ones wait; else for nobody."""
        with self._mutex:
            if not self._urgent:
                return
        with self.turn(is_urgent=False):
            pass

    def _enter(self, line: deque[threading.Lock]) -> None:
        with self._mutex:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            line.append(mine)
        try:
            mine.acquire()
        except BaseException:  # Ctrl-C: nobody may hand the turn to who has gone
            with self._mutex:
                was_waiting = mine in line
                if was_waiting:
                    line.remove(mine)
            if not was_waiting:
                self._leave()
            raise

    def _leave(self) -> None:
        with self._mutex:
            is_urgent = bool(self._urgent) and not (self._others and self._in_row >= MOST_URGENT)
            self._in_row = self._in_row + 1 if is_urgent else 0
            line = self._urgent if is_urgent else self._others
            if line:
                line.popleft().release()  # it stays taken
            else:
                self._is_taken = False
