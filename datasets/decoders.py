"""Several warm decoders behind one face: many doctors look at slides at once, each child answers one question.

A child that is busy with a slow or hostile file makes nobody wait but the one who asked, as long as
another one is idle.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from datasets.crops import Picture
from datasets.errors import UnreadableFile
from datasets.sandbox import Decoder

WALL_SECONDS = 20.0
"""For one region: a page waits for it."""


@dataclass(slots=True)
class _Seat:
    decoder: Decoder
    last: tuple[str, ...] = field(default=())
    """The slide that its child has open for certain."""


class DecoderPool:
    """Reads regions of slides; may be shared between threads.

    Args:
        size: How many child processes at most; they start when they are needed or warmed.
    """

    def __init__(self, size: int) -> None:
        self._idle = [_Seat(Decoder(wall_seconds=WALL_SECONDS)) for _ in range(size)]
        self._free = threading.Condition()
        self._size = size
        self._closing = threading.Event()

    def warm(self) -> None:
        """Start the children one after the other: the first picture of the day then costs no import."""
        for _ in range(self._size):
            with self._seat(()) as seat:
                seat.decoder.warm()

    def read_regions(
        self, paths: Sequence[Path], places: Sequence[tuple[int, int, float]], width: int, height: int, *,
        level: int = 0,
    ) -> list[Picture]:  # fmt: skip
        """Read regions of a slide; see `Decoder.read_regions`."""
        with self._seat(_name(paths)) as seat:
            return list(seat.decoder.read_regions(paths, places, width, height, level=level))

    def read_overview(self, paths: Sequence[Path]) -> Picture:
        """Return a small picture of a slide; see `Decoder.read_overview`."""
        with self._seat(_name(paths)) as seat:
            return seat.decoder.read_overview(paths)

    def close(self) -> None:
        """End the children as they become idle."""
        with self._free:
            self._closing.set()
            for seat in self._idle:
                seat.decoder.close()
            self._free.notify_all()

    @contextmanager
    def _seat(self, name: tuple[str, ...]) -> Iterator[_Seat]:
        with self._free:
            self._free.wait_for(lambda: self._idle or self._closing.is_set())
            if self._closing.is_set():
                raise UnreadableFile("the server is stopping")
            # The child that had this slide last has it open; else the one that was idle longest.
            seat = next((seat for seat in self._idle if seat.last == name), self._idle[0])
            self._idle.remove(seat)
        try:
            yield seat
            seat.last = name
        finally:
            with self._free:
                self._idle.append(seat)
                if self._closing.is_set():
                    seat.decoder.close()
                self._free.notify()


def _name(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(str(path) for path in paths)
