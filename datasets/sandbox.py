"""Decoding at arm's length: a child process that may crash, hang or eat memory without harm.

One changed tag in a slide file aborts a decoder's whole process, and a looping one hangs it for
ever: neither can be caught inside the process that serves the doctors.
"""

import json
import os
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from datasets.decoded import Answers, CleanHeader, CleanTiff, DicomPart
from datasets.errors import WAY_OUT, UnreadableFile
from datasets.files import refuse_links
from datasets.readers.base import MAX_REGION_PIXELS, SlideInfo
from datasets.readers.flat import Picture
from datasets.shared_memory import shared_memory

WALL_SECONDS = 60.0
_START_SECONDS = 180.0
_SHARED_BYTES = 32 << 20
"""Room for a region of 3,300 x 3,300 pixels; larger ones go through the pipe."""
_AT_ONCE = 16
"""Regions for one question: they share its time limit."""


class Decoder:
    """Decodes untrusted files in a child process that is replaced whenever it dies.

    Use as a context manager; not to be shared between threads.

    Args:
        wall_seconds: How long one request may take before the child is killed.
    """

    def __init__(self, *, wall_seconds: float = WALL_SECONDS) -> None:
        self._wall_seconds = wall_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._answers: Answers | None = None
        self._slides: dict[tuple[Path, ...], int] = {}
        """Numbers by which this child knows slides: naming hundreds of files again for each region takes longer
        than reading it."""
        self._is_warm = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()

    @property
    def child_id(self) -> int | None:
        """Process number of the running child, None before the first question."""
        return self._child.pid if self._child is not None and self._is_running() else None

    def warm(self) -> None:
        """Start the child and let it import what slides need.

        Raises:
            UnreadableFile: It does not start.
        """
        if not (self._is_warm and self._is_running()):
            self._ask({"op": "warm"})
            self._is_warm = True

    def close(self) -> None:
        """End the child; the next question starts another one."""
        if self._child is not None:
            self._end_child()
            self._child = None

    def read_picture(self, path: Path) -> Picture:
        """Decode one flat picture: PNG, JPEG, WebP, BMP, TIFF or single-frame DICOM.

        Returns:
            RGB, shape (H, W, 3), uint8.

        Raises:
            UnreadableFile: With the reason, also when the decoder crashed or took too long.
        """
        return self._pixels({"op": "picture", "path": _absolute(path)})

    def is_scan(self, path: Path) -> bool | DicomPart:
        """Tell a slide from a picture by the bytes.

        Returns:
            Whether it is a slide that one file holds; for DICOM what it is a part of.

        Raises:
            UnreadableFile: With the reason.
        """
        header, _ = self._ask({"op": "kind", "path": _absolute(path)})
        if "dicom" not in header:
            return header.get("scan") is True
        part = header["dicom"]
        return DicomPart(
            series=str(part["series"]), is_wsi=part["is_wsi"] is True, flavor=str(part["flavor"]),
            size=(int(part["size"][0]), int(part["size"][1])), concatenation=str(part["concatenation"]),
            frame=str(part["frame"]), z_um=float(part["z_um"]),
        )  # fmt: skip

    def open_slide(self, paths: Sequence[Path]) -> SlideInfo:
        """Open a slide and look at all of it once.

        Args:
            paths: One file, or all DICOM instances of the slide.

        Raises:
            UnreadableFile: With the reason.
        """
        header, _ = self._ask({"op": "open", **self._named(paths)})
        try:
            return SlideInfo.from_json(header["info"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableFile("the decoder's answer makes no sense") from error

    def read_region(
        self, paths: Sequence[Path], x: int, y: int, width: int, height: int, *, level: int = 0, z_um: float = 0.0
    ) -> Picture:
        """Read a region of a slide.

        Args:
            paths: As given to `open_slide`.
            x: Left edge in level-0 pixels; may lie outside.
            y: Top edge in level-0 pixels.
            width: In pixels of the level.
            height: In pixels of the level.
            level: Index into the slide's levels.
            z_um: Focal plane; the nearest one is taken.

        Returns:
            RGB, shape (height, width, 3), uint8; what lies outside is painted in `crops.OUTSIDE`.

        Raises:
            UnreadableFile: With the reason; the next region is tried anew.
        """
        return next(self.read_regions(paths, [(x, y, z_um)], width, height, level=level))

    def read_regions(
        self, paths: Sequence[Path], places: Sequence[tuple[int, int, float]], width: int, height: int, *,
        level: int = 0,
    ) -> Iterator[Picture]:  # fmt: skip
        """Read regions of one size with few questions: each costs a tenth of what decoding a small region does.

        Args:
            paths: As given to `open_slide`.
            places: Left and top edge in level-0 pixels and focal plane in um of each, as in `read_region`.
            width: In pixels of the level.
            height: In pixels of the level.
            level: Index into the slide's levels.

        Yields:
            RGB, shape (height, width, 3), uint8, for each place.

        Raises:
            UnreadableFile: One of them cannot be read, with its reason.
        """
        at_once = max(1, min(_AT_ONCE, _SHARED_BYTES // max(1, 3 * width * height)))
        for start in range(0, len(places), at_once):
            some = places[start : start + at_once]
            found = self._pixels({**self._named(paths), "op": "regions", "places": some, "width": width,
                                  "height": height, "level": level})  # fmt: skip
            if found.shape != (len(some) * height, width, 3):
                raise UnreadableFile("the decoder's answer makes no sense")
            yield from found.reshape(len(some), height, width, 3)

    def read_overview(self, paths: Sequence[Path]) -> Picture:
        """Return a small picture of the whole slide, or of its middle where it has no small level."""
        return self._pixels({"op": "overview", **self._named(paths)})

    def deidentify(self, path: Path, key: bytes) -> CleanHeader:
        """Return a DICOM instance's header with nothing in it that can identify.

        Args:
            path: The instance.
            key: For pseudonyms and UIDs; derived, because the child is not trusted with the study's own.

        Raises:
            UnreadableFile: With the reason.
        """
        facts, content = self._ask({"op": "deidentify", "path": _absolute(path), "key": key.hex()})
        try:
            start, end = (int(place) for place in facts["pixels"])
            removed = {str(word): int(count) for word, count in facts["removed"].items()}
            notes = tuple(str(note) for note in facts["notes"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableFile("the decoder's answer makes no sense") from error
        if content is None or not 0 < start < end <= path.stat().st_size:
            raise UnreadableFile("the decoder's answer makes no sense")
        return CleanHeader(header=content.tobytes(), pixels=(start, end), removed=removed, notes=notes)

    def clean_tiff(self, path: Path) -> CleanTiff:
        """Return how to copy an SVS, NDPI or TIFF slide with its levels only and nothing that can identify.

        Args:
            path: The slide.

        Raises:
            UnreadableFile: With the reason, also for slides of other formats.
        """
        facts, content = self._ask({"op": "clean", "path": _absolute(path), **self._named([path])})
        if content is None:
            raise UnreadableFile("the decoder's answer makes no sense")
        try:
            return CleanTiff.from_answer(facts, content.tobytes(), path.stat().st_size)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableFile("the decoder's answer makes no sense") from error

    def _named(self, paths: Sequence[Path]) -> dict[str, Any]:
        """Return what names a slide to the child: the first time its files, then a number."""
        self.warm()
        key = tuple(paths)
        if key in self._slides:
            return {"slide": self._slides[key]}
        names = [_absolute(path) for path in paths]
        self._slides[key] = len(self._slides)
        return {"slide": self._slides[key], "paths": names}

    def _pixels(self, request: dict[str, Any]) -> Picture:
        _, picture = self._ask(request)
        if picture is None or picture.ndim != 3:
            raise UnreadableFile("the decoder's answer makes no sense")
        return picture

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], Picture | None]:
        if request["op"] not in ("warm", "picture") and "slide" not in request:  # `_named` has done it
            self.warm()
        seconds = _START_SECONDS if request["op"] == "warm" else self._wall_seconds
        deadline = time.monotonic() + seconds
        try:
            child, answers = self._running_child()
            assert child.stdin is not None
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            return answers.receive(deadline)
        except (TimeoutError, BrokenPipeError, EOFError, ValueError) as error:
            self.close()
            reason = f"the decoder took longer than {seconds:.0f} s; {WAY_OUT}"
            if not isinstance(error, TimeoutError):
                reason = f"the decoder crashed on it; {WAY_OUT}"
            raise UnreadableFile(reason) from error

    def _is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def _running_child(self) -> tuple[subprocess.Popen[bytes], Answers]:
        if self._child is None or self._answers is None or not self._is_running():
            self.close()
            self._slides, self._is_warm = {}, False
            number, shared = shared_memory(_SHARED_BYTES)
            words, passed = ([str(number), str(_SHARED_BYTES)], (number,)) if number is not None else ([], ())
            try:
                self._child = subprocess.Popen(  # noqa: S603  our own module, and two numbers
                    [sys.executable, "-I", "-m", "datasets.decode_worker", *words], pass_fds=passed,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                )  # fmt: skip
                self._end_child = weakref.finalize(self, _end, self._child, os.getpid())  # where `close` is forgotten
            finally:
                if number is not None:
                    os.close(number)
            assert self._child.stdout is not None
            self._answers = Answers(self._child.stdout.fileno(), shared, most_pixels=MAX_REGION_PIXELS)
        return self._child, self._answers


def _end(child: subprocess.Popen[bytes], keeper: int) -> None:
    if os.getpid() == keeper:  # a fork has a copy of the decoder, not a child
        child.kill()
        child.communicate()


def _absolute(path: Path) -> str:
    refuse_links(path)  # before the child sees them
    return str(path.absolute())
